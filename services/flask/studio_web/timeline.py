"""A film as the page tells it: its shots in order with the stages of each, and its subtitles."""

from __future__ import annotations

import html

from aifilm.films import ACTIVE

SHOT_STAGES = ("still", "move", "finish", "encode")
TEXT_SHOT_STAGES = ("move", "finish", "encode")  # title and end card: Blender writes them, no take of ComfyUI
WORDS = {
    "plan": "Plan",
    "still": "Still",
    "move": "Move",
    "finish": "Finish",
    "encode": "Encode",
    "cut": "Cut",
    "inspect": "Inspect",
}


def board(film: dict, stages: list[dict]) -> dict:
    """The film's storyboard: `shots`, each `{id, scene, start, seconds, words…, stages: {stage: row or None}}`,
    `whole` with the stages of the whole film, `done` and `all` counting the stages of all shots, `waits` what stages wait for.

    Without a plan there are no shots yet.
    """
    rows = {(row["shot"], row["stage"]): row for row in stages}
    plan = film["plan"]
    shots: list[dict] = []
    start = 0.0

    def add(shot: str, seconds: float, names: tuple[str, ...], **words: str) -> None:
        nonlocal start
        shots.append(
            {"id": shot, "start": start, "seconds": seconds, "stages": {n: rows.get((shot, n)) for n in names}, **words}
        )
        start += seconds

    if plan:
        add(
            "title",
            float(plan["title_seconds"]),
            TEXT_SHOT_STAGES,
            scene="Opening title",
            description=plan.get("title", ""),
            subtitle="",
        )
        for scene in plan.get("scenes", ()):
            for shot in scene.get("shots", ()):
                add(
                    shot["id"],
                    float(shot["seconds"]),
                    SHOT_STAGES,
                    scene=scene.get("heading", ""),
                    size=shot.get("size", ""),
                    move=shot.get("move", ""),
                    description=shot.get("description", ""),
                    subtitle=shot.get("subtitle", ""),
                )
        add("end", float(plan["end_seconds"]), TEXT_SHOT_STAGES, scene="End card", description="The End", subtitle="")
    every = [row for shot in shots for row in shot["stages"].values()]
    return {
        "shots": shots,
        "seconds": start,
        "whole": {name: rows.get(("", name)) for name in ("plan", "cut", "inspect")},
        "waits": sorted({(r["error"] or {}).get("detail", "") for r in stages if r["state"] == "waiting"} - {""}),
        "done": sum(1 for row in every if row and row["state"] == "done"),
        "all": len(every),
        "active": film["state"] in ACTIVE,
    }


def subtitles(storyboard: dict) -> str:
    """The film's subtitles as WebVTT (https://www.w3.org/TR/webvtt1/), since browsers don't show those inside an MP4."""
    cues = ["WEBVTT\n"]
    for shot in storyboard["shots"]:
        # A blank line ends a cue and «-->» begins one, so neither may stand in its text.
        text = "\n".join(line for line in html.escape(shot["subtitle"], quote=False).splitlines() if line.strip())
        if text:
            cues.append(f"{_clock(shot['start'])} --> {_clock(shot['start'] + shot['seconds'])}\n{text}\n")
    return "\n".join(cues)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"
