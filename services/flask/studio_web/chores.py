"""What a replica does beside answering: a thread that does each chore now and then, and soon when asked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("flask")


class Chores(threading.Thread):
    """Does chores until `stopping`. One that raises is told of and tried again: what it needs is away, and comes back."""

    def __init__(self, stopping: threading.Event):
        super().__init__(name="chores", daemon=True)
        self._stopping = stopping
        self._chores: list[tuple[Callable[[], None], float]] = []
        self._due: dict[Callable[[], None], float] = {}

    def every(self, seconds: float, chore: Callable[[], None]) -> None:
        """Have a chore done every so many seconds, the first time when the thread starts."""
        self._chores.append((chore, seconds))
        self._due[chore] = 0.0

    def soon(self, chore: Callable[[], None]) -> None:
        """Have a chore done at once."""
        self._due[chore] = 0.0

    def run(self) -> None:
        while not self._stopping.wait(0.2):
            for chore, seconds in self._chores:
                if time.monotonic() < self._due[chore]:
                    continue
                self._due[chore] = time.monotonic() + seconds
                try:
                    chore()
                except Exception as error:
                    log.warning("put off: %s", error, extra={"chore": chore.__qualname__})
