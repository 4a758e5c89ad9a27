"""What a film may be: how large, how long, what its texts may hold, and the words that stand for its sizes, moves, grades,
moods and times.

The numbers are in ``limits.json``, which the Go package in this directory reads as well, so that whatever one service accepts
no other refuses. A service may take more than this, never less.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Length:
    """How many characters (Unicode code points) a text may have."""

    min: int
    max: int


@dataclass(frozen=True)
class Range:
    """The least and the greatest of a number, and what it is a multiple of (0: of anything)."""

    min: float
    max: float
    step: int = 0


_file = json.loads((Path(__file__).parent / "limits.json").read_text(encoding="utf-8"))
_length = {name: Length(**entry) for name, entry in _file["lengths"].items()}
_count = {name: Range(**entry) for name, entry in _file["counts"].items()}
_picture, _time, _words = _file["picture"], _file["time"], _file["words"]

# Patterns of ids, of a film and a shot in any request, of scenes and shots in a plan; «$» is meant as the very end.
FILM_ID, SHOT_ID = _file["ids"]["film"], _file["ids"]["shot"]
PLAN_SCENE_ID, PLAN_SHOT_ID = _file["ids"]["plan_scene"], _file["ids"]["plan_shot"]

TITLE, BRIEF, LOGLINE = _length["title"], _length["brief"], _length["logline"]
EDIT = _length["edit"]  # a scene's new text
PLANNER, PLANNER_NOTE = _length["planner"], _length["planner_note"]
NAME, LOOKS = _length["name"], _length["looks"]  # of a character
HEADING, LOCATION = _length["heading"], _length["location"]  # of a scene
DESCRIPTION, PROMPT, NEGATIVE = _length["description"], _length["prompt"], _length["negative"]  # of a shot
SUBTITLE = _length["subtitle"]

CHARACTERS, SCENES, SHOTS = _count["characters"], _count["scenes"], _count["shots"]  # of a whole film

WIDTH, HEIGHT = Range(**_picture["width"]), Range(**_picture["height"])  # pixels
WIDEST, TALLEST = _picture["widest"], _picture["tallest"]  # width ≤ WIDEST × height, height ≤ TALLEST × width

SECONDS, SHOT_SECONDS = Range(**_time["seconds"]), Range(**_time["shot_seconds"])
STEPS_PER_SECOND = _time["steps_per_second"]  # all times are multiples of a step; the rate of a move's frames
FPS = _time["fps"]  # of the film

SEED = Range(**_file["seed"])

SIZES, MOVES, GRADES, MOODS, TIMES = (tuple(_words[name]) for name in ("sizes", "moves", "grades", "moods", "times"))


def is_film_id(text: str) -> bool:
    """Whether a text can be a film's id."""
    return re.fullmatch(FILM_ID.removesuffix("$"), text) is not None


def is_shot_id(text: str) -> bool:
    """Whether a text can be a shot's id."""
    return re.fullmatch(SHOT_ID.removesuffix("$"), text) is not None


def shape_fault(width: int, height: int) -> str:
    """What is wrong with the shape of a picture, whatever its size; empty when nothing is."""
    if width > WIDEST * height or height > TALLEST * width:
        return (
            f"{width}×{height} is no shape of a film: "
            f"at most {WIDEST} times as wide as high, at most {TALLEST} times as high as wide"
        )
    return ""
