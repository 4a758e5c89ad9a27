"""What a film takes on the volumes, estimated from above before anything of it is there.

Frames dominate: a shot's stand on the images volume, twelve a second as Blender renders and as many as the film has as OpenCV
grades, until its clip is encoded. So a film needs the frames of the shots that are made at once, and what lasts of it: a
still and a clip of every shot, and the cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from limits import FPS, SECONDS, SHOT_SECONDS, STEPS_PER_SECOND

# Bytes of a pixel. As PNG film grain hardly compresses: 2.1 was the most seen in graded frames; a still and its depth.
_FRAME, _STILL = 2.2, 3.0 + 2.0
_H264 = 0.1  # of a pixel of a frame at CRF 18
# Shots whose frames stand at once: as many as a run works on, and one whose frames are being replaced.
SHOTS_AT_ONCE = 3 + 1
# Planners cut to 3 or 4 s a shot; what is longer than this is rare, and then alone.
_LONG_SHOT, _SHORT_SHOT = 10.0, 2.5


@dataclass(frozen=True)
class Need:
    """Bytes of one film on one volume: what is there only while it is made, and what lasts."""

    passing: int
    lasting: int


def estimate(settings: dict[str, Any], plan: dict[str, Any] | None = None) -> dict[str, Need]:
    """What a film of these settings (`width`, `height`, `seconds`) takes on each volume; closer where its plan is known."""
    pixels = settings["width"] * settings["height"]
    seconds = float(settings.get("seconds", SECONDS.max))
    if plan:
        shots = [float(shot["seconds"]) for scene in plan["scenes"] for shot in scene["shots"]]
        shots += [float(plan["title_seconds"]), float(plan["end_seconds"])]
        count, longest = len(shots), sorted(shots)[-SHOTS_AT_ONCE:]
    else:
        count = math.ceil(seconds / _SHORT_SHOT) + 2
        longest = [min(_LONG_SHOT, seconds / 2, SHOT_SECONDS.max)] * SHOTS_AT_ONCE
    return {
        "images": Need(
            passing=int(pixels * sum(longest) * (STEPS_PER_SECOND + FPS) * _FRAME), lasting=int(pixels * count * _STILL)
        ),
        # The clips, and the cut; it is written beside the one that it replaces.
        "videos": Need(passing=int(pixels * seconds * FPS * _H264), lasting=int(pixels * seconds * FPS * _H264 * 2)),
    }


def together(needs: Iterable[dict[str, Need]], at_once: int) -> dict[str, int]:
    """Bytes that films take on each volume when `at_once` of them are made at a time and the others wait their turn."""
    needs = list(needs)
    return {
        volume: sum(need[volume].lasting for need in needs)
        + sum(sorted((need[volume].passing for need in needs), reverse=True)[:at_once])
        for volume in ("images", "videos")
    }
