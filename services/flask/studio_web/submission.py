"""What may be submitted: the brief, its title and the film's settings; and whether there is room for the film."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import limits
from aifilm import plan, storage
from aifilm.plan import Brief, Title
from aifilm.service import Problem, Request

DEFAULTS = plan.Settings().model_dump()


class Settings(plan.Settings):
    """Size in pixels, length in seconds, and the seed that every random choice of the film follows from."""

    fps: Literal[24] = limits.FPS

    def stored(self) -> dict:
        """The settings as the film keeps them and LangGraph takes them; `fps` is no choice and left out."""
        return self.model_dump(exclude={"fps"})


class Submission(Request):
    """The body of `POST /api/films`."""

    brief: Brief
    title: Title = ""
    settings: Settings = Settings()


def require_place(waiting: int, most: int) -> None:
    """Raise Problem 429 when as many films as are taken (`most`) are not over yet."""
    if waiting >= most:
        raise Problem(
            429,
            "too many films",
            f"{waiting} films are waiting or in work, at most {most} are taken",
            "send it again when some are done",
            headers={"Retry-After": "60"},
        )


def require_room(settings: dict, others: Iterable[dict], free: dict[tuple[str, ...], int], at_once: int) -> None:
    """Raise Problem 507 when the film would not fit beside those in work.

    `others` are the settings of the films in work, counted whole, of which `at_once` are made at a time; `free` the bytes free
    on each disk, by the volumes (`images`, `videos`) that share it. One that is not mounted here is not judged: the services
    that write there will.
    """
    own = storage.estimate(settings)
    alone = storage.together([own], 1)
    total = storage.together([own, *map(storage.estimate, others)], at_once)
    for volumes, left in free.items():
        needed, by_itself = (sum(what[volume] for volume in volumes) for what in (total, alone))
        if needed > left:
            # Waiting helps only where the films in work are in the way.
            waiting = by_itself <= left
            raise Problem(
                507,
                "the film would not fit",
                f"{' and '.join(volumes)}: {_size(by_itself)} are needed for this film,"
                f" {_size(needed - by_itself)} for films in work, and {_size(left)} are free",
                ("wait until films in work are done, " if waiting else "")
                + "delete films that are no longer needed, make this one smaller or shorter, or enlarge the volume",
                headers={"Retry-After": "300"} if waiting else {},
                volumes=list(volumes),
                needed=needed,
                free=left,
            )


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
