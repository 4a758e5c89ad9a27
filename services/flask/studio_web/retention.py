"""What goes when films have ended and the volumes fill up, in this order:

1. frames of films that ended an hour ago, always: only their clips are needed from then on;
2. while a volume is fuller than `limit`, clips of ended films, those that ended first, first: a film made again makes them
   anew;
3. whole films, only if that was asked for: those that ended `days` ago, and with `oldest` those that ended first while a
   volume is still too full.

A film in work is never touched, and one that is done never goes unasked: then it is told that the volume is too full. What
goes is told in the log and as an event of the film (stage `retention`). One replica at a time does it.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import prometheus_client

from aifilm.films import FilmGone, Films
from aifilm.progress import Progress
from aifilm.volume import VOLUMES
from studio_web.files import Films as Files

FRAMES_SECONDS = 3600.0
_LOCK = 0x61692D72657461
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

log = logging.getLogger("flask")


@dataclass(frozen=True)
class Limit:
    """How full a volume may be: `bytes` of films, or `share` of the volume whoever filled it. Neither: as full as it gets."""

    bytes: int = 0
    share: float = 0.0

    @staticmethod
    def parse(text: str) -> Limit:
        """`85%`, a quantity as Kubernetes writes it (`200Gi`), or `0` for none. Raises ValueError."""
        text = text.strip()
        if found := re.fullmatch(r"([0-9]{1,2}|100)%", text):
            return Limit(share=int(found[1]) / 100)
        if found := re.fullmatch(r"([0-9]{1,15})([KMGT]i|[kMGT]|)", text):
            return Limit(bytes=int(found[1]) * _UNITS[found[2]])
        raise ValueError(f"{text!r} is neither a share like 85% nor a size like 200Gi")


class Retention:
    """Retention of the films' files. `days` 0: films are kept for ever. `deleted` is told that films were deleted."""

    def __init__(self, films: Films, files: Files, progress: Progress, *, days: int, limit: Limit, oldest: bool,
                 deleted: Callable[[], None]):
        self._films, self._files, self._progress = films, files, progress
        self._days, self._limit, self._oldest, self._deleted = days, limit, oldest, deleted

    def measure(self, registry: prometheus_client.CollectorRegistry) -> None:
        """Export how much went, and what is free on the volumes."""
        self._removed = prometheus_client.Counter(
            "aifilm_flask_retention_bytes_total", "Bytes removed by retention.", ["what"], registry=registry
        )
        free, size = (
            prometheus_client.Gauge(f"aifilm_volume_{what}_bytes", text, ["volume"], registry=registry)
            for what, text in (("free", "Bytes that films may still take."), ("size", "Bytes of the volume's disk."))
        )
        for volume in VOLUMES:
            free.labels(volume).set_function(lambda volume=volume: self._files.free_on(volume))
            size.labels(volume).set_function(lambda volume=volume: self._files.size_of(volume))
        for what in ("frames", "clips", "films"):
            self._removed.labels(what)

    def round(self) -> None:
        """Remove what has to go now, unless another replica is at it."""
        with self._films.database.alone(_LOCK) as alone:
            if not alone:
                return
            self._going = dict.fromkeys(VOLUMES, 0)  # bytes of the films deleted in this round, whose files are still there
            for film in self._films.ended(FRAMES_SECONDS, trimmed_below=1):
                self._trim(film, 1, "frames", self._files.trim_frames)
            if self._days:
                for film in self._films.ended(self._days * 86400.0):
                    self._delete(film, f"it ended {self._days} days ago")
            for volume in VOLUMES:
                self._relieve(volume)

    def _relieve(self, volume: str) -> None:
        over = self._over(volume) - self._going[volume]
        if over <= 0:
            return
        tiers = {"images": (1, "frames", self._files.trim_frames), "videos": (2, "clips", self._files.trim_clips)}
        level, what, trim = tiers[volume]
        for film in self._films.ended(trimmed_below=level):
            over -= self._trim(film, level, what, trim)
            if over <= 0:
                return
        for film in self._films.ended() if self._oldest else ():
            if used := self._files.used(film["id"])[volume]:
                self._delete(film, f"the {volume} volume is too full")
                over -= used
            if over <= 0:
                return
        log.warning("volume too full", extra={"volume": volume, "bytes_over": over, "remedy":
                    "delete films, set RETENTION_DAYS or RETENTION_FILMS=oldest, or enlarge the volume"})  # fmt: skip

    def _over(self, volume: str) -> float:
        """Bytes by which a volume is fuller than it may be."""
        try:
            disk = shutil.disk_usage(self._files.volume.root / volume)
        except OSError:
            return 0.0  # not mounted here
        if self._limit.share:
            return disk.total - disk.free - disk.total * self._limit.share
        return self._files.used_by_all(volume) - self._limit.bytes if self._limit.bytes else 0.0

    def _trim(self, film: dict, level: int, what: str, trim: Callable[[str], int]) -> int:
        try:
            freed = self._films.trim(film["id"], level, lambda: trim(film["id"]))
        except OSError as error:
            log.warning("not trimmed", extra={"film": film["id"], "what": what, "error": str(error)})
            return 0
        if freed:
            self._removed.labels(what).inc(freed)
            log.info("retention removed files", extra={"film": film["id"], "what": what, "bytes": freed})
            detail = f"{what}: {freed} bytes"
            self._progress.publish(film["id"], stage="retention", state="removed", service="flask", detail=detail)
        return freed

    def _delete(self, film: dict, why: str) -> None:
        used = self._files.used(film["id"])
        try:
            self._films.delete(film["id"])
        except FilmGone:
            return  # somebody was quicker
        for volume in VOLUMES:
            self._going[volume] += used[volume]
        freed = sum(used.values())
        self._removed.labels("films").inc(freed)
        log.info("retention removed a film", extra={"film": film["id"], "title": film["title"], "why": why, "bytes": freed})
        self._progress.publish(film["id"], stage="retention", state="deleted", service="flask", detail=why)
        self._deleted()
