"""What may be submitted: the brief, its title and the film's settings; and whether the film would fit on the disk."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

import limits
from aifilm import plan
from aifilm.service import Problem, Request
from limits import FPS, STEPS_PER_SECOND

LONGEST_BRIEF = limits.BRIEF.max
DEFAULTS = plan.Settings().model_dump()

# Bytes a pixel of a frame takes as PNG. Film grain hardly compresses: 2.1 was the most seen in graded frames.
_PNG_BYTES_A_PIXEL = 2.2
_FRAMES_A_SECOND = STEPS_PER_SECOND + FPS  # Blender's and OpenCV's
_H264_BYTES_A_PIXEL = 0.1  # at CRF 18, twice: the shots, and the cut


def _refused(why: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{why}", {"why": why})


def _written(text: str) -> str:
    """The text without the white space around it; refuses what no one writes."""
    text = text.replace("\r\n", "\n").strip()
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise _refused(f"holds the control character U+{ord(character):04X}")
    return text


def _story(text: str) -> str:
    text = _written(text)
    if not any(character.isalnum() for character in text):
        raise _refused("is empty: write a few sentences of story")
    if len(text) > LONGEST_BRIEF:
        raise _refused(f"has {len(text)} characters, at most {LONGEST_BRIEF} are taken")
    return text


def _one_line(text: str) -> str:
    text = _written(text)
    if "\n" in text or "\t" in text:
        raise _refused("must be one line")
    return text


class Settings(Request):
    """Size in pixels, length in seconds, and the seed that every random choice of the film follows from.

    Narrower than what can be planned (`aifilm.plan.Settings`): what is taken here must not fail there.
    """

    width: Annotated[int, Field(ge=160, le=1920, multiple_of=8)] = DEFAULTS["width"]
    height: Annotated[int, Field(ge=96, le=1080, multiple_of=8)] = DEFAULTS["height"]
    seconds: Annotated[float, Field(ge=5, le=600)] = DEFAULTS["seconds"]
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = DEFAULTS["seed"]
    fps: Literal[24] = FPS

    def stored(self) -> dict:
        """The settings as the film keeps them and LangGraph takes them; `fps` is no choice and left out."""
        return self.model_dump(exclude={"fps"})


class Submission(Request):
    """The body of `POST /api/films`."""

    brief: Annotated[str, AfterValidator(_story)]
    title: Annotated[str, Field(max_length=200), AfterValidator(_one_line)] = ""
    settings: Settings = Settings()


def bytes_needed(settings: dict) -> tuple[int, int]:
    """Bytes a film takes on the images and on the videos volume, from above."""
    pixels = settings["width"] * settings["height"] * settings["seconds"]
    return int(pixels * _FRAMES_A_SECOND * _PNG_BYTES_A_PIXEL), int(pixels * FPS * _H264_BYTES_A_PIXEL * 2)


def require_room(settings: dict, others: Iterable[dict], free: dict[str, int]) -> None:
    """Raise Problem 507 when the film would not fit beside those in work.

    `others` are the settings of films in work, counted whole, `free` the bytes free on each volume (`images`,
    `videos`); one that is not mounted here is not judged: the services that write there will.
    """
    needs = [bytes_needed(film) for film in (settings, *others)]
    for index, volume in enumerate(("images", "videos")):
        total = sum(need[index] for need in needs)
        if volume in free and total > free[volume]:
            raise Problem(
                507,
                "the film would not fit",
                f"{volume}: {_size(needs[0][index])} for this film and {_size(total - needs[0][index])} for films in work"
                f" are needed, {_size(free[volume])} are free",
                "delete films that are no longer needed, make this one smaller or shorter, or enlarge the volume",
                volume=volume,
                needed=total,
                free=free[volume],
            )


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
