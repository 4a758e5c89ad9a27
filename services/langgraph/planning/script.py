"""What the steps of planning hand each other, and what any planner must be able to do.

Whatever a planner writes is kept within `limits` by these models: texts are cleaned and clipped, not refused.
"""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import AfterValidator, BeforeValidator, Field

import limits
from aifilm.plan import Character, Grade, Mood, Move, Settings, Size, Strict, Time
from aifilm.text import clip, one_line

NOWHERE = "open landscape"


def _line(length: limits.Length, otherwise: str = ""):
    return Annotated[str, AfterValidator(lambda text: clip(one_line(text), length) or otherwise)]


def _place(text: str) -> str:
    # A comma would end the place within a prompt.
    return clip(one_line(text.replace(",", " ")).strip(" .-–—"), limits.LOCATION) or NOWHERE


Title = _line(limits.TITLE, "Untitled")
Logline = _line(limits.LOGLINE)
Name = _line(limits.NAME)
Looks = _line(limits.LOOKS)
Location = Annotated[str, AfterValidator(_place)]
Action = _line(limits.Length(0, 300))


class SceneText(Strict):
    """A scene as the screenwriter leaves it. ``slug`` is the heading the brief itself gave, or empty."""

    text: Annotated[str, Field(min_length=1), BeforeValidator(lambda text: clip(text, limits.BRIEF))]
    slug: _line(limits.TITLE) = ""


class Script(Strict):
    """The brief as a script: title, who is in it, and its scenes in order."""

    title: Title
    logline: Logline
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] = "und"
    characters: Annotated[list[Character], Field(max_length=limits.CHARACTERS.max)] = Field(default_factory=list)
    scenes: Annotated[list[SceneText], Field(min_length=limits.SCENES.min, max_length=limits.SCENES.max)]


class Direction(Strict):
    """How a scene is to look."""

    location: Location
    interior: bool
    time: Time
    mood: Mood
    grade: Grade


class Draft(Strict):
    """A shot before it has a length.

    ``told`` are the sentences it tells, ``action`` what is to be seen, in a few words, ``view`` from where, if that is told;
    ``again`` marks one that tells what the shot before has told already, and gets no subtitle.
    """

    size: Size
    move: Move
    characters: list[str] = Field(default_factory=list)
    told: Annotated[list[str], Field(min_length=1)]
    again: bool = False
    action: Action = ""
    view: str = ""
    location: Location
    interior: bool


class Planner(Protocol):
    """Makes the creative choices of each step; lengths, ids, seeds and consistency are continuity's."""

    name: str

    def script(self, brief: str, title: str, settings: Settings) -> Script:
        """The screenwriter's work."""

    def direct(self, script: Script, scene: SceneText, before: Direction | None) -> Direction:
        """The director's: one scene, given the direction of the scene before it."""

    def shots(self, script: Script, scene: SceneText, direction: Direction, count: int, seed: int) -> list[Draft]:
        """The shot list of one scene: ``count`` shots or fewer, at least one."""
