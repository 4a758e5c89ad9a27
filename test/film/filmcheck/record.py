"""What the studio says of the film: the API's record, the plan against the brief, the progress that was told."""

import re

from filmcheck.finding import Report

SERVICES = {"plan": "langgraph", "still": "comfyui", "move": "blender", "finish": "opencv", "encode": "ffmpeg",
            "cut": "ffmpeg", "inspect": "opencv"}  # fmt: skip


def check_record(report: Report, film: dict | None, shots: list[dict]) -> None:
    """The film as ``GET /api/films/{id}`` gives it: which service did what, when and how long, shot by shot."""
    report.check("record.exists", bool(film) and film.get("state") == "done", film and film.get("state"))
    if not film:
        return
    run = (film.get("video") or {}).get("run_id") or ""
    report.check("record.run", bool(re.fullmatch(r"[0-9a-f-]{36}", run)), run or "no run of Dagster")
    wanted = {("", "plan"), ("", "cut"), ("", "inspect")}
    for shot in shots:
        wanted |= {
            (shot["id"], stage) for stage in ("still", "move", "finish", "encode") if stage != "still" or "prompt" in shot
        }
    rows = {(row["shot"], row["stage"]): row for row in film.get("stages", [])}
    done = {key for key, row in rows.items() if row["state"] == "done" and row["started_at"] and row["seconds"] is not None}
    missing = sorted(" ".join(key).strip() for key in wanted - done)
    report.check("record.stages", not missing, f"missing: {', '.join(missing)}" if missing else f"{len(wanted)} stages done")
    wrong = [f"{stage} by {row['service']}" for (_, stage), row in rows.items() if row["service"] != SERVICES.get(stage)]
    report.check(
        "record.services",
        bool(rows) and not wrong,
        ", ".join(wrong) or f"{len({row['service'] for row in rows.values()})} services",
    )


def check_plan(report: Report, plan: dict, brief: str) -> None:
    """The plan tells this brief: its sentences in order and none left out, its people by name."""
    told, wanted = " ".join(_words(scene["text"]) for scene in plan["scenes"]), _words(_story(brief))
    missing = [
        sentence for sentence in re.split(r"(?<=[.!?])\s+", _story(brief)) if _words(sentence) and _words(sentence) not in told
    ]
    report.check("plan.tells-brief", bool(wanted) and not missing,
                 f"{len(missing)} sentences left out: {missing[0][:60]!r} …" if missing else "every sentence")  # fmt: skip
    names = {character["name"] for character in plan["characters"]}
    strangers = sorted(name for name in names if not re.search(rf"\b{re.escape(name.split()[0])}\b", brief))
    report.check(
        "plan.characters",
        not strangers and bool(names),
        f"not in the brief: {strangers}" if strangers else ", ".join(sorted(names)),
    )
    absent = sorted(names - {name for scene in plan["scenes"] for shot in scene["shots"] for name in shot["characters"]})
    report.check("plan.everybody-seen", not absent, f"in no shot: {absent}" if absent else "each in a shot")


def check_events(report: Report, events: list[dict], shots: list[dict]) -> None:
    """The progress that was told while the film was made (the page's bars live on it)."""
    told = {(event.get("shot"), event.get("stage")) for event in events if event.get("state") in ("running", "done")}
    wanted = {(shot["id"], stage) for shot in shots for stage in ("move", "finish", "encode")} | {("", "plan"), ("", "cut")}
    missing = wanted - told
    report.check(
        "progress.events", not missing, f"{len(events)} events" + (f", none of {len(missing)} stages" if missing else "")
    )


def _story(brief: str) -> str:
    return "\n".join(line for line in brief.splitlines() if not line.startswith("#")).strip()


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
