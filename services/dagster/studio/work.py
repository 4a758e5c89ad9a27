"""One stage of a film while it is worked on: whom it asks, how long it waits, and what it tells meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from aifilm.films import STAGES
from aifilm.parts import Parts
from studio import jobs_client, places
from studio.jobs_client import Done
from studio.patience import Patience

# Longer than PostgreSQL needs to come up on another node; after it the run ends, and another goes on.
DATABASE_SECONDS = 900.0
# Before a stage's pace is known: a checkpoint loads from a slow disk and is sampled on a CPU.
FIRST_ALLOWANCE = 3600.0
LEAST_ALLOWANCE, TIMES_THE_PACE = 120.0, 10.0


class Patient:
    """A repository whose every call is repeated while PostgreSQL is away. Each of its calls is one transaction."""

    def __init__(self, repository: Any):
        self._repository = repository

    def __getattr__(self, name: str):
        call = getattr(self._repository, name)

        def patiently(*arguments, **named):
            until, pause = time.monotonic() + DATABASE_SECONDS, 0.25
            while True:
                try:
                    return call(*arguments, **named)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    if time.monotonic() > until:
                        raise
                time.sleep(pause)
                pause = min(10.0, 2 * pause)

        return patiently if callable(call) else call


@dataclass
class Work:
    """What a stage works with. ``pace`` is the seconds a frame took before (films.Films.pace), None where unknown."""

    film: dict
    stage: str
    shot: str
    parts: Parts
    patience: Patience
    on_line: Callable[[dict], None]
    pace: float | None

    def job(self, operation: str, body: dict, frames: int = 1) -> Done:
        """One job of the stage's service; ``frames`` are those it makes."""
        return jobs_client.run(
            places.service(STAGES[self.stage]), operation, body, film=self.film["id"], shot=self.shot, on_line=self.on_line,
            patience=self.patience, allowance=self.allowance(frames),
        )  # fmt: skip

    def allowance(self, frames: int) -> float:
        """The seconds after which the stage's service is thought to hang."""
        if self.pace is None:
            return FIRST_ALLOWANCE
        size = max(0.25, self.film["settings"]["width"] * self.film["settings"]["height"] / 1e6)
        return LEAST_ALLOWANCE + TIMES_THE_PACE * self.pace * max(1, frames) * size

    def on_disk(self, path: str, do: Callable[[], Any]) -> Any:
        """What ``do`` returns, once the volume lets it: a full disk is waited for."""
        while True:
            try:
                done = do()
                self.patience.went_on()
                return done
            except FileNotFoundError:
                raise  # no lack of room: what made it has to be asked again
            except OSError as error:
                self.patience.wait(
                    {"title": "The volume does not take it", "status": 507, "detail": f"{path}: {error.strerror or error}",
                     "remedy": "Give the volume room (delete films no longer needed) and let uid 10001 write to it."}
                )  # fmt: skip
