"""The files of films: found, measured, and removed with their film."""

from __future__ import annotations

import shutil
from pathlib import Path

import limits
from aifilm.volume import RESERVE_BYTES, VOLUMES, Volume


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
        if not limits.is_shot_id(shot):
            return None
        return self.volume.resolve(f"images/films/{film['id']}/{shot}/still.png", "shot")

    def remove(self, film_id: str) -> None:
        """Remove all files of a film. Raises OSError when some stay."""
        for name in VOLUMES:
            directory = self.volume.resolve(f"{name}/films/{film_id}", "film")
            if directory.exists():
                shutil.rmtree(directory)
