"""The files of films: found, measured, and removed with their film."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import limits
from aifilm import files
from aifilm.volume import RESERVE_BYTES, VOLUMES, Volume


class Films:
    """The files of films under one data directory."""

    def __init__(self, root: str):
        self.volume = Volume(root)

    def free(self) -> dict[tuple[str, ...], int]:
        """Bytes that films may still take on each disk, by the volumes on it that are mounted here."""
        disks: dict[int, tuple[str, ...]] = {}
        left = {}
        for name in VOLUMES:
            try:
                disk, free = (self.volume.root / name).stat().st_dev, shutil.disk_usage(self.volume.root / name).free
            except OSError:
                continue
            disks[disk] = (*disks.get(disk, ()), name)
            left[disk] = max(0, free - RESERVE_BYTES)
        return {volumes: left[disk] for disk, volumes in disks.items()}

    def free_on(self, volume: str) -> int:
        """Bytes that films may still take on the disk of a volume; 0 where it is not mounted here."""
        return sum(free for volumes, free in self.free().items() if volume in volumes)

    def size_of(self, volume: str) -> int:
        """Bytes of the disk that a volume is on; 0 where it is not mounted here."""
        try:
            return shutil.disk_usage(self.volume.root / volume).total
        except OSError:
            return 0

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

    def used(self, film_id: str) -> dict[str, int]:
        """Bytes that would be free on each volume if the film's files were not."""
        return {name: sum(map(_freed, self._directory(name, film_id).rglob("*"))) for name in VOLUMES}

    def used_by_all(self, volume: str) -> int:
        """Bytes of all films' files on a volume."""
        return sum(map(_freed, (self.volume.root / volume / "films").rglob("*")))

    def trim_frames(self, film_id: str) -> int:
        """Remove what only stands between a film's stills and its clips; return the bytes that are free for it."""
        return sum(
            _discard(entry)
            for shot in self._directory("images", film_id).glob("*/")
            if not shot.is_symlink()
            for entry in list(shot.iterdir())
            if entry.name not in ("still.png", "still.png.json")
        )

    def trim_clips(self, film_id: str) -> int:
        """Remove the clips of a film's shots; return the bytes that are free for it."""
        kept = {name + suffix for name in ("film.mp4", "poster.jpg") for suffix in ("", ".json")}
        directory = self._directory("videos", film_id)
        entries = directory.iterdir() if directory.is_dir() else ()
        return sum(_discard(entry) for entry in list(entries) if entry.name not in kept)

    def _directory(self, volume: str, film_id: str) -> Path:
        return self.volume.resolve(f"{volume}/films/{film_id}", "film")

    def remove(self, film_id: str) -> None:
        """Remove all files of a film. Raises OSError when some stay."""
        for name in VOLUMES:
            directory = self._directory(name, film_id)
            if directory.exists():
                shutil.rmtree(directory)


def _freed(entry: Path) -> int:
    """Bytes that removing a file frees: none where another film has a link to it, too."""
    try:
        found = entry.lstat()
    except OSError:
        return 0  # removed meanwhile
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0


def _discard(entry: Path) -> int:
    """Remove a file or directory, gone at once; return the bytes that are free for it."""
    freed = sum(map(_freed, (entry, *entry.rglob("*"))))
    files.discard(entry)
    return freed
