"""The shared volumes: paths checked, outputs keyed by content and never half-written.

A path in a request is relative to ``DATA_DIR`` and starts with ``images/`` or ``videos/``. An output is written beside its
target as ``.<name>.<random>.tmp``, fsynced and renamed; its sidecar ``<output>.json`` (``{"key": …, "result": …}``) is
written last, so an output with a sidecar is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from aifilm.service import Problem

VOLUMES = ("images", "videos")
FRAME = "frame_{:05d}.png"
# Kept free on every volume: PostgreSQL and the kubelet suffer before a film does when a disk runs full.
RESERVE_BYTES = 64 << 20
# What a killed process left is taken away when nothing was written to it for this long.
ABANDONED_SECONDS = 3600.0

_REMEDY = "give a path relative to the data directory, for example images/films/<film>/<shot>/still.png"


class Volume:
    """The shared volumes as seen under one directory (``DATA_DIR``)."""

    def __init__(self, root: str | os.PathLike[str] | None = None):
        self.root = Path(root or os.environ.get("DATA_DIR", "/data"))

    def resolve(self, path: str, field: str, *, volumes: Iterable[str] = VOLUMES, suffixes: tuple[str, ...] = ()) -> Path:
        """The absolute path of ``path``, the value of the request's ``field``.

        Raises Problem 422 when it is absolute, unclean, hidden, on another volume, or leaves its volume over a symbolic link;
        with ``suffixes`` also when its name ends in none of them.
        """
        def refused(why: str) -> Problem:
            return Problem(422, "invalid path", f"{field}: {path[:200]!r} {why}", _REMEDY,
                           errors=[{"field": field, "message": why}])

        volumes = tuple(volumes)
        parts = path.split("/")
        if not path or len(path.encode("utf-8", "replace")) > 1024:
            raise refused("is empty or longer than 1024 bytes")
        if path.startswith("/"):
            raise refused("is absolute")
        if any(ord(c) < 32 or c in "\\\x7f" or 0xD800 <= ord(c) <= 0xDFFF for c in path):
            raise refused("holds a control character or a backslash")
        if any(part in ("", ".", "..") for part in parts):
            raise refused("is not clean")
        if any(part.startswith(".") or len(part.encode()) > 200 for part in parts):
            raise refused("has a hidden or an overlong component")
        if parts[0] not in volumes or len(parts) < 2:
            raise refused(f"is not inside {' or '.join(v + '/' for v in volumes)}")
        if suffixes and not path.lower().endswith(suffixes):
            raise refused(f"does not end in {' or '.join(suffixes)}")
        volume = (self.root / parts[0]).resolve()
        try:
            real = (self.root / path).resolve()
            real.stat()
        except FileNotFoundError:
            pass
        except (OSError, RuntimeError):  # a loop of symbolic links, a file where a directory should be
            raise refused("can't be followed") from None
        if not real.is_relative_to(volume) or real == volume:
            raise refused("leaves its volume")
        return self.root / path

    def existing(self, path: str, field: str, kind: str, **options: Any) -> Path:
        """As ``resolve``, and it must be there: ``kind`` is ``"file"`` or ``"directory"``."""
        found = self.resolve(path, field, **options)
        if not (found.is_file() if kind == "file" else found.is_dir()):
            why = f"is not a {kind}" if found.exists() else "does not exist"
            raise Problem(422, "input not found", f"{field}: {path!r} {why}", "run the step that makes it first",
                          errors=[{"field": field, "message": why}])
        return found

    def relative(self, path: Path) -> str:
        """The path as requests and replies give it."""
        return PurePosixPath(path.relative_to(self.root)).as_posix()

    def missing(self) -> str:
        """Why the volumes can't be used, or an empty string."""
        for name in VOLUMES:
            if not os.access(self.root / name, os.R_OK | os.W_OK | os.X_OK):
                return f"{name} is not a writable directory"
        return ""

    def check(self) -> None:
        """Readiness check; raises OSError."""
        if why := self.missing():
            raise OSError(why)


def frames_of(directory: Path, field: str) -> list[Path]:
    """The frames of a directory in order: ``frame_00001.png`` … without a gap.

    Raises Problem 422 when there is none or a number is missing.
    """
    numbered = {}
    for entry in directory.iterdir():
        if found := re.fullmatch(r"frame_(\d{5})\.png", entry.name):
            numbered[int(found[1])] = entry

    def refused(why: str) -> Problem:
        return Problem(422, "invalid frames", f"{field}: {why}", "frames are frame_00001.png, frame_00002.png … without a gap",
                       errors=[{"field": field, "message": why}])

    if not numbered:
        raise refused("the directory holds no frame")
    missing = [n for n in range(1, max(numbered) + 1) if n not in numbered]
    if missing or 0 in numbered:
        raise refused(f"{FRAME.format(missing[0])} is missing" if missing else "frames are counted from 1")
    return [numbered[n] for n in range(1, len(numbered) + 1)]


def content_key(operation: str, parameters: Mapping[str, Any], inputs: Iterable[Path]) -> str:
    """SHA-256, in hex, of an operation, its parameters and the contents of its input files, in order.

    Put a version into ``operation`` and raise it when the operation's output changes; leave paths out of ``parameters``.
    """
    key = hashlib.sha256(json.dumps([operation, parameters], sort_keys=True, ensure_ascii=False).encode())
    for path in inputs:
        with open(path, "rb") as content:
            key.update(hashlib.file_digest(content, "sha256").digest())
    return key.hexdigest()


def sidecar(output: Path) -> Path:
    """Where the sidecar of an output stands."""
    return output.with_name(output.name + ".json")


def finished(output: Path, key: str) -> dict[str, Any] | None:
    """The result of an output that is already there under this key, else None."""
    try:
        recorded = json.loads(sidecar(output).read_text())
        if recorded["key"] == key and output.exists():
            return recorded["result"]
    except (OSError, ValueError, KeyError, TypeError):
        # No sidecar, or one that an older version or a full disk left unreadable: the output is made anew.
        pass
    return None


@contextlib.contextmanager
def writing(output: Path, key: str, *, directory: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Make an output: yields the place to write to and an empty dict for the result.

    When the block ends the output replaces its target and the sidecar is written; when it raises, nothing is left. The
    place is a directory that exists, or a file name that doesn't yet.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(output)
    place = output.with_name(f".{output.name}.{secrets.token_hex(6)}.tmp")
    if directory:
        place.mkdir()
    result: dict[str, Any] = {}
    try:
        yield place, result
        if directory:
            for entry in place.iterdir():
                _fsync(entry)
        _fsync(place)
        # The old sidecar must not vouch for the new output.
        sidecar(output).unlink(missing_ok=True)
        _replace(place, output)
        _fsync(output.parent)
        write_json(sidecar(output), {"key": key, "result": result})
    finally:
        _remove(place)


def write_json(target: Path, value: Any) -> None:
    """Replace a JSON file: written beside, fsynced, renamed."""
    place = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        place.write_text(json.dumps(value, ensure_ascii=False) + "\n")
        _fsync(place)
        place.replace(target)
        _fsync(target.parent)
    finally:
        place.unlink(missing_ok=True)


def require_space(directory: Path, size: int) -> None:
    """Raise Problem 507 when the volume of ``directory`` has no room for ``size`` bytes more."""
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    if free < size + RESERVE_BYTES:
        raise Problem(507, "insufficient storage", f"{size >> 20} MiB are needed, {free >> 20} MiB are free and "
                      f"{RESERVE_BYTES >> 20} MiB are kept in reserve", "delete films no longer needed, or enlarge the volume")


def remove_abandoned(output: Path, older: float = ABANDONED_SECONDS) -> None:
    """Remove what killed processes left beside an output."""
    for left in output.parent.glob(f".{_escaped(output.name)}.*.tmp"):
        with contextlib.suppress(OSError):  # another replica may be cleaning up too
            if time.time() - left.stat().st_mtime > older:
                _remove(left)


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _replace(place: Path, output: Path) -> None:
    """Rename over the target; a directory that is in the way is moved aside first, since rename(2) wants it empty."""
    for _ in range(10):
        aside = output.with_name(f".{output.name}.{secrets.token_hex(6)}.tmp")
        if output.is_dir() or (place.is_dir() and output.exists()):
            with contextlib.suppress(FileNotFoundError):
                output.rename(aside)
        try:
            place.replace(output)
            return
        except OSError:
            # Another replica, asked the same, put its own there between the two renames.
            if not output.exists():
                raise
        finally:
            _remove(aside)
    raise Problem(409, "output contested", f"{output.name} is being replaced by others", "ask again")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
