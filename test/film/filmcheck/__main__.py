"""The command line: ``python -m filmcheck film.mp4 --film film.json``; exit code 0 when every assertion holds, 1 when one
does not, 2 when there is nothing to look at."""

import argparse
import json
import sys
from pathlib import Path

import cv2

from filmcheck import container, picture, record
from filmcheck.finding import Report


def shots_of(plan: dict) -> list[dict]:
    """The film's shots with their start in seconds: title, the plan's, end (docs/contracts.md, «The plan»)."""
    listed = [{"id": "title", "start": 0.0, "seconds": plan["title_seconds"], "text": plan["title"]}]
    at = plan["title_seconds"]
    for scene in plan["scenes"]:
        for shot in scene["shots"]:
            listed.append({**shot, "start": at, "grade": scene["grade"]})
            at += shot["seconds"]
    return [*listed, {"id": "end", "start": at, "seconds": plan["end_seconds"], "text": "The End"}]


def examine(
    film: Path,
    plan: dict,
    *,
    record_of: dict | None = None,
    with_record: bool = False,
    brief: str | None = None,
    stills: Path | None = None,
    events: list[dict] | None = None,
) -> Report:
    """Everything there is to say of a film, given what is known of it. Raises container.NotAFilm."""
    report, shots = Report(), shots_of(plan)
    container.check(report, film, plan, shots)
    pictures = {}
    if stills is not None:
        for shot in shots:
            for path in (stills / f"{shot['id']}.png", stills / shot["id"] / "still.png"):
                if path.is_file() and (still := cv2.imread(str(path))) is not None:
                    pictures[shot["id"]] = still
        absent = [shot["id"] for shot in shots if "prompt" in shot and shot["id"] not in pictures]
        report.check("film.takes", not absent, f"no still of {', '.join(absent)}" if absent else f"{len(pictures)} stills")
    picture.check(report, film, plan, shots, pictures)
    if with_record:
        record.check_record(report, record_of, shots)
    if brief is not None:
        record.check_plan(report, plan, brief)
    if events is not None:
        record.check_events(report, events, shots)
    return report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="filmcheck", description="Measure a finished film and say by name what is not as planned."
    )
    parser.add_argument("video", type=Path, help="the finished film, an MP4")
    parser.add_argument("--film", type=Path, help="the film as GET /api/films/{id} gives it, JSON (holds the plan)")
    parser.add_argument("--plan", type=Path, help="the plan alone, JSON, where there is no --film")
    parser.add_argument("--brief", type=Path, help="the brief, to see that the plan tells it")
    parser.add_argument(
        "--stills", type=Path, help="a directory with <shot>.png or <shot>/still.png, to compare shots with their takes"
    )
    parser.add_argument("--events", type=Path, help="the progress events, a JSON array")
    parser.add_argument("--json", action="store_true", help="findings as JSON")
    asked = parser.parse_args(arguments)
    try:
        film = json.loads(asked.film.read_text()) if asked.film else None
        plan = json.loads(asked.plan.read_text()) if asked.plan else (film or {}).get("plan")
        if not plan:
            parser.error("give --film with a planned film, or --plan")
        report = examine(
            asked.video, plan, record_of=film, with_record=film is not None,
            brief=asked.brief.read_text() if asked.brief else None, stills=asked.stills,
            events=json.loads(asked.events.read_text()) if asked.events else None,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, container.NotAFilm) as error:
        print(f"filmcheck: {error if not isinstance(error, KeyError) else f'the plan has no {error}'}", file=sys.stderr)
        return 2
    if asked.json:
        print(json.dumps([vars(finding) for finding in report.findings], ensure_ascii=False, indent=1))
    else:
        print(report)
        print(f"{len(report.findings) - len(report.failed)} of {len(report.findings)} assertions hold")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
