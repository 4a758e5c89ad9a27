"""The files of films: found, measured, and removed with their film."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aifilm.volume import RESERVE_BYTES, VOLUMES, Volume

if TYPE_CHECKING:
    from studio_web.app import Studio

log = logging.getLogger("flask")

_SHOT = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_REAP_SECONDS = 20.0
_SWEEP_SECONDS = 600.0


class Films:
    """The files of films under one data directory."""

    def __init__(self, root: str):
        self.volume = Volume(root)

    def free(self) -> dict[str, int]:
        """Bytes that films may still take on each volume that is mounted here."""
        free = {}
        for name in VOLUMES:
            try:
                free[name] = max(0, shutil.disk_usage(self.volume.root / name).free - RESERVE_BYTES)
            except OSError:
                continue
        return free

    def video(self, film: dict) -> Path:
        """Where the film's video stands, there or not."""
        return self.volume.resolve((film["video"] or {}).get("path") or f"videos/films/{film['id']}/film.mp4", "video")

    def poster(self, film: dict) -> Path:
        return self.volume.resolve(f"videos/films/{film['id']}/poster.jpg", "poster")

    def still(self, film: dict, shot: str) -> Path | None:
        """Where a shot's still stands, there or not; None for what can't be a shot's id."""
        if not _SHOT.fullmatch(shot):
            return None
        return self.volume.resolve(f"images/films/{film['id']}/{shot}/still.png", "shot")

    def remove(self, film_id: str) -> None:
        """Remove all files of a film. Raises OSError when some stay."""
        for name in VOLUMES:
            directory = self.volume.resolve(f"{name}/films/{film_id}", "film")
            if directory.exists():
                shutil.rmtree(directory)


class Reaper(threading.Thread):
    """Finishes deletions: of films that were in work when they were deleted, and those a killed pod left half done.

    Runs in every replica; removing what another removes at the same time is harmless.
    """

    def __init__(self, studio: Studio, stopping: threading.Event):
        super().__init__(name="reaper", daemon=True)
        self._studio, self._stopping = studio, stopping

    def run(self) -> None:
        swept = 0.0
        while not self._stopping.wait(_REAP_SECONDS):
            try:
                reap(self._studio)
                if time.monotonic() - swept > _SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._studio.login.sweep()
            except Exception as error:  # PostgreSQL or a volume is away: both are told elsewhere, and come back
                log.debug("reaping put off: %s", error)


def reap(studio: Studio) -> None:
    """Remove every deleted film whose run has ended: files first, then the row, so that nothing is forgotten."""
    studio.migrate()
    for film_id in studio.films.removable():
        try:
            studio.files.remove(film_id)
        except OSError as error:
            log.warning("files not removed yet", extra={"film": film_id, "error": str(error)})
            continue
        studio.progress.forget(film_id)
        studio.films.remove(film_id)
        log.info("film removed", extra={"film": film_id})
