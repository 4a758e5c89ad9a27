"""The plan of a film: what is shot, how, and for how long. LangGraph makes it, Dagster shoots it, Flask shows it.

What it may hold, in length and in words, is in `limits`.
"""

from __future__ import annotations

import enum
import math
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

import limits
from aifilm.text import clean, has_word, one_line
from limits import FPS, STEPS_PER_SECOND

SHORTEST_SHOT = limits.SHOT_SECONDS.min


def _words(name: str, words: tuple[str, ...]) -> type[enum.StrEnum]:
    return enum.StrEnum(name, {word.upper().replace("-", "_"): word for word in words}, module=__name__)


Size = _words("Size", limits.SIZES)  # how much of the scene a shot takes in
Move = _words("Move", limits.MOVES)  # what the camera does during a shot
Grade = _words("Grade", limits.GRADES)  # the look a scene is graded to
Mood = _words("Mood", limits.MOODS)  # what a scene feels like; the soundtrack follows it
Time = _words("Time", limits.TIMES)  # when a scene plays


def steps(seconds: float) -> int:
    """Seconds as a whole number of twelfths, rounded."""
    return round(seconds * STEPS_PER_SECOND)


def seconds_of_steps(count: int) -> float:
    """Twelfths as seconds, with the few decimals that JSON needs to come back to the same number of frames."""
    return round(count / STEPS_PER_SECOND, 6)


def _on_the_grid(seconds: Any) -> Any:
    if isinstance(seconds, int | float) and math.isfinite(seconds) and abs(seconds * STEPS_PER_SECOND - steps(seconds)) > 1e-3:
        raise ValueError(f"{seconds} is not a multiple of 1/{STEPS_PER_SECOND} s")
    return seconds


def _text(length: limits.Length, **more: Any) -> Any:
    return Annotated[str, Field(min_length=length.min, max_length=length.max, **more)]


def _number(of: type, bounds: limits.Range, **more: Any) -> Any:
    return Annotated[of, Field(ge=bounds.min, le=bounds.max, **more)]


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_on_the_grid)]
Seed = _number(int, limits.SEED)


def refused(why: str) -> PydanticCustomError:
    """What a validator raises for people to read."""
    return PydanticCustomError("refused", "{why}", {"why": why})


def _story(length: limits.Length):
    def told(text: str) -> str:
        text = clean(text)
        if not has_word(text):
            raise refused("is empty: write a few sentences of story")
        if len(text) > length.max:
            raise refused(f"has {len(text)} characters, at most {length.max} are taken")
        return text

    return AfterValidator(told)


def _title(text: str) -> str:
    text = one_line(text)
    if len(text) > limits.TITLE.max:
        raise refused(f"has {len(text)} characters, at most {limits.TITLE.max} are taken")
    return text


# What comes in is kept clean; lengths are those of the clean text.
Brief = Annotated[str, _story(limits.BRIEF)]
Edit = Annotated[str, _story(limits.EDIT)]  # a scene's new text
Title = Annotated[str, AfterValidator(_title)]  # empty: the planner finds one


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Settings(Strict):
    """What the film maker may choose: pixels, seconds (planned to the nearest step), and the seed of every choice."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    width: _number(int, limits.WIDTH, multiple_of=limits.WIDTH.step) = 640
    height: _number(int, limits.HEIGHT, multiple_of=limits.HEIGHT.step) = 360
    seconds: _number(float, limits.SECONDS) = 36.0
    seed: Seed = 1

    @field_validator("height")
    @classmethod
    def _shape(cls, height: int, info: ValidationInfo) -> int:
        if "width" in info.data and (fault := limits.shape_fault(info.data["width"], height)):
            raise refused(fault)
        return height


class Character(Strict):
    """Somebody with a name."""

    name: _text(limits.NAME)
    description: _text(limits.LOOKS) = ""


class Shot(Strict):
    """One take: a still, a camera move over it, a subtitle."""

    id: Annotated[str, Field(pattern=limits.PLAN_SHOT_ID)]
    size: Size
    move: Move
    seconds: Annotated[Seconds, Field(ge=limits.SHOT_SECONDS.min, le=limits.SHOT_SECONDS.max)]
    seed: Seed
    characters: list[str] = Field(default_factory=list)
    description: _text(limits.DESCRIPTION) = ""
    prompt: _text(limits.PROMPT)
    negative: _text(limits.NEGATIVE) = ""
    subtitle: _text(limits.SUBTITLE) = ""


class Scene(Strict):
    """Shots at one place and time."""

    id: Annotated[str, Field(pattern=limits.PLAN_SCENE_ID)]
    heading: _text(limits.HEADING)
    location: _text(limits.LOCATION)
    time: Time
    mood: Mood
    text: _text(limits.BRIEF)
    grade: Grade
    shots: Annotated[list[Shot], Field(min_length=1)]

    @property
    def seconds(self) -> float:
        """How long the scene runs."""
        return seconds_of_steps(sum(steps(shot.seconds) for shot in self.shots))


class Plan(Strict):
    """The whole film: ``title_seconds`` of title, the scenes' shots in order, ``end_seconds`` of end card."""

    title: _text(limits.TITLE)
    logline: _text(limits.LOGLINE)
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    width: _number(int, limits.WIDTH, multiple_of=limits.WIDTH.step)
    height: _number(int, limits.HEIGHT, multiple_of=limits.HEIGHT.step)
    fps: Literal[FPS] = FPS
    seconds: Annotated[Seconds, Field(ge=limits.SECONDS.min, le=limits.SECONDS.max)]
    title_seconds: Seconds
    end_seconds: Seconds
    planner: _text(limits.PLANNER)
    planner_note: _text(limits.PLANNER_NOTE) = ""
    characters: Annotated[list[Character], Field(max_length=limits.CHARACTERS.max)]
    scenes: Annotated[list[Scene], Field(min_length=limits.SCENES.min, max_length=limits.SCENES.max)]

    @property
    def shots(self) -> list[Shot]:
        """All shots in order, title and end card not among them."""
        return [shot for scene in self.scenes for shot in scene.shots]

    @model_validator(mode="after")
    def _coherent(self) -> Plan:
        if fault := limits.shape_fault(self.width, self.height):
            raise ValueError(fault)
        if len(self.shots) > limits.SHOTS.max:
            raise ValueError(f"{len(self.shots)} shots are more than {limits.SHOTS.max}")
        length = steps(self.title_seconds) + steps(self.end_seconds) + sum(steps(shot.seconds) for shot in self.shots)
        if length != steps(self.seconds):
            raise ValueError(f"title, shots and end last {length / STEPS_PER_SECOND:.3f} s, seconds says {self.seconds}")
        for number, scene in enumerate(self.scenes, 1):
            if scene.id != f"s{number:02d}":
                raise ValueError(f"scene {number} has the id {scene.id}")
            for n, shot in enumerate(scene.shots, 1):
                if shot.id != f"{scene.id}-{n:02d}":
                    raise ValueError(f"shot {n} of scene {scene.id} has the id {shot.id}")
        for before, after in zip(self.shots, self.shots[1:], strict=False):
            if (before.size, before.move) == (after.size, after.move):
                raise ValueError(f"{before.id} and {after.id} have the same size and move")
        names = {character.name for character in self.characters}
        if len(names) != len(self.characters):
            raise ValueError("two characters have the same name")
        seen = {name for shot in self.shots for name in shot.characters}
        if seen - names:
            raise ValueError(f"shots show {', '.join(sorted(seen - names))}, who is no character of the plan")
        if names - seen:
            raise ValueError(f"{', '.join(sorted(names - seen))} is in no shot")
        return self
