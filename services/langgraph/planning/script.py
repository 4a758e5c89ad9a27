"""What the steps of planning hand each other, and what any planner must be able to do."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field

from aifilm.plan import Character, Grade, Mood, Move, Settings, Size, Strict, Time


class SceneText(Strict):
    """A scene as the screenwriter leaves it. ``slug`` is the heading the brief itself gave, or empty."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    slug: Annotated[str, Field(max_length=200)] = ""


class Script(Strict):
    """The brief as a script: title, who is in it, and its scenes in order."""

    title: Annotated[str, Field(min_length=1, max_length=120)]
    logline: Annotated[str, Field(max_length=500)]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] = "und"
    characters: Annotated[list[Character], Field(max_length=12)] = Field(default_factory=list)
    scenes: Annotated[list[SceneText], Field(min_length=1, max_length=99)]


class Direction(Strict):
    """How a scene is to look."""

    location: Annotated[str, Field(min_length=1, max_length=100)]
    interior: bool
    time: Time
    mood: Mood
    grade: Grade


class Draft(Strict):
    """A shot before it has a length.

    ``told`` are the sentences it tells, ``action`` what is to be seen, in a few words; ``again`` marks another view of what the
    shot before has told already, which gets no subtitle.
    """

    size: Size
    move: Move
    characters: list[str] = Field(default_factory=list)
    told: Annotated[list[str], Field(min_length=1)]
    again: bool = False
    action: Annotated[str, Field(max_length=300)] = ""
    location: Annotated[str, Field(min_length=1, max_length=100)]
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
