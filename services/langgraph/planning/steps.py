"""The steps of planning, each a planner's work on all scenes; ``whole`` takes them all at once."""

from __future__ import annotations

from collections.abc import Callable

from aifilm.plan import Plan, Settings
from planning.continuity import assemble, content_steps, enough, shot_counts
from planning.deterministic import scene_seed
from planning.script import Direction, Draft, Planner, Script


def unchecked() -> None:
    """For work that nothing ends."""


def direct(planner: Planner, script: Script, check: Callable[[], None] = unchecked) -> list[Direction]:
    """How each scene is to look."""
    directions: list[Direction] = []
    for scene in script.scenes:
        check()
        directions.append(planner.direct(script, scene, directions[-1] if directions else None))
    return directions


def list_shots(
    planner: Planner, script: Script, directions: list[Direction], settings: Settings, check: Callable[[], None] = unchecked
) -> list[list[Draft]]:
    """The shots of each scene."""
    counts = shot_counts(content_steps(settings.seconds), [scene.text for scene in script.scenes])
    shots = []
    for scene, direction, count in zip(script.scenes, directions, counts, strict=True):
        check()
        shots.append(enough(planner.shots(script, scene, direction, count, scene_seed(settings.seed, scene.text)), count))
    return shots


def whole(planner: Planner, brief: str, title: str, settings: Settings, check: Callable[[], None] = unchecked) -> Plan:
    """The plan of a brief, all steps at once. Raises ValueError where it can't be made."""
    script = planner.script(brief, title, settings)
    directions = direct(planner, script, check)
    return assemble(script, directions, list_shots(planner, script, directions, settings, check), settings, planner.name)
