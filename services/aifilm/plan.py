"""The plan of a film: what is shot, how, and for how long. LangGraph makes it, Dagster shoots it, Flask shows it."""

from __future__ import annotations

import enum
import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# Blender renders at this rate, and the film runs at FPS; a length that is whole at this rate is whole at both.
STEPS_PER_SECOND = 12
FPS = 24
SHORTEST_SHOT = 1.5  # seconds
MAX_BRIEF = 20_000  # characters


class Size(enum.StrEnum):
    """How much of the scene a shot takes in."""

    WIDE = "wide"
    MEDIUM = "medium"
    CLOSE = "close"


class Move(enum.StrEnum):
    """What the camera does during a shot."""

    DOLLY_IN = "dolly-in"
    DOLLY_OUT = "dolly-out"
    TRUCK_LEFT = "truck-left"
    TRUCK_RIGHT = "truck-right"
    CRANE_UP = "crane-up"
    CRANE_DOWN = "crane-down"
    ORBIT_LEFT = "orbit-left"
    ORBIT_RIGHT = "orbit-right"


class Grade(enum.StrEnum):
    """The look a scene is graded to."""

    NEUTRAL = "neutral"
    WARM = "warm"
    COLD = "cold"
    NIGHT = "night"
    NOIR = "noir"


class Mood(enum.StrEnum):
    """What a scene feels like; the soundtrack follows it."""

    CALM = "calm"
    TENSE = "tense"
    JOYFUL = "joyful"
    SAD = "sad"
    WONDER = "wonder"


class Time(enum.StrEnum):
    """When a scene plays."""

    DAWN = "dawn"
    DAY = "day"
    DUSK = "dusk"
    NIGHT = "night"


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


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_on_the_grid)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Text = Annotated[str, Field(max_length=2000)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Settings(Strict):
    """What the film maker may choose. Width and height are pixels, multiples of 8 as latent images are."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    width: Annotated[int, Field(ge=64, le=2048, multiple_of=8)] = 640
    height: Annotated[int, Field(ge=64, le=2048, multiple_of=8)] = 360
    seconds: Annotated[float, Field(ge=5, le=900)] = 36.0
    seed: Seed = 1


class Character(Strict):
    """Somebody with a name."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(max_length=300)] = ""


class Shot(Strict):
    """One take: a still, a camera move over it, a subtitle."""

    id: Annotated[str, Field(pattern=r"^s\d{2}-\d{2,3}$")]
    size: Size
    move: Move
    seconds: Annotated[Seconds, Field(ge=SHORTEST_SHOT)]
    seed: Seed
    characters: list[str] = Field(default_factory=list)
    description: Text = ""
    prompt: Annotated[str, Field(min_length=1, max_length=2000)]
    negative: Text = ""
    subtitle: Annotated[str, Field(max_length=200)] = ""


class Scene(Strict):
    """Shots at one place and time."""

    id: Annotated[str, Field(pattern=r"^s\d{2}$")]
    heading: Text
    location: Annotated[str, Field(min_length=1, max_length=200)]
    time: Time
    mood: Mood
    text: Annotated[str, Field(max_length=MAX_BRIEF)]
    grade: Grade
    shots: Annotated[list[Shot], Field(min_length=1)]

    @property
    def seconds(self) -> float:
        """How long the scene runs."""
        return seconds_of_steps(sum(steps(shot.seconds) for shot in self.shots))


class Plan(Strict):
    """The whole film: ``title_seconds`` of title, the scenes' shots in order, ``end_seconds`` of end card."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    logline: Text
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    width: int
    height: int
    fps: int = FPS
    seconds: Seconds
    title_seconds: Seconds
    end_seconds: Seconds
    planner: str
    characters: list[Character]
    scenes: Annotated[list[Scene], Field(min_length=1, max_length=99)]

    @property
    def shots(self) -> list[Shot]:
        """All shots in order, title and end card not among them."""
        return [shot for scene in self.scenes for shot in scene.shots]

    @model_validator(mode="after")
    def _coherent(self) -> Plan:
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
