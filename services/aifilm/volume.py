"""The shared volumes: paths checked, outputs keyed by content and never half-written.

A path in a request is relative to ``DATA_DIR`` and lies below the folder of the film that the request is for:
``{images,videos}/films/<film>/…``. An output is written beside its target as ``.<name>.<random>.tmp``, fsynced and renamed; its
sidecar ``<output>.json`` (``{"key": …, "made_by": …, "result": …}``) is written last, so an output is whole whose sidecar has
its key. A sidecar without a key, written before the output takes its place, says only whose it is.

The Go services' rules are in ``services/internal/volume``; both are held to the cases in its ``testdata/paths.json``.
"""

from __future__ import annotations

import contextlib
import errno
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

import limits
from aifilm.service import Problem, Subject, invalid

VOLUMES = ("images", "videos")
FRAME = "frame_{:05d}.png"
# Kept free on every volume: PostgreSQL and the kubelet suffer before a film does when a disk runs full.
RESERVE_BYTES = 64 << 20
# What a killed process left is taken away when nothing was written to it for this long.
ABANDONED_SECONDS = 3600.0

_REMEDY = "give a path below the film's own folder, for example images/films/<film>/<shot>/finish"
# Who made an output whose sidecar is of a version that didn't say so: the names of the layout.
_LEGACY_OWNERS = {"still.png": "pipeline", "move": "blender", "finish": "opencv", "poster.jpg": "ffmpeg", ".mp4": "ffmpeg"}


def _refused(field: str, path: str, why: str) -> Problem:
    return invalid(field, f"{path[:200]!r} {why}", _REMEDY)


class Volume:
    """The shared volumes as seen under one directory (``DATA_DIR``)."""

    def __init__(self, root: str | os.PathLike[str] | None = None):
        self.root = Path(root or os.environ.get("DATA_DIR", "/data"))

    def input(self, path: str, field: str, kind: str, subject: Subject, *, volumes: Iterable[str] = VOLUMES,
              suffixes: tuple[str, ...] = ()) -> Path:
        """The absolute path of an input of a job, the value of the request's ``field``: a ``"file"`` or a ``"directory"``.

        Raises Problem 422 when it is not a clean path below the folder of the subject's film on one of ``volumes``, also after
        symbolic links are followed, ends in none of ``suffixes``, or is not there.
        """
        found = self._below(path, field, subject, volumes, suffixes)
        if not (found.is_file() if kind == "file" else found.is_dir()):
            raise invalid(field, f"{path!r} is not a {kind}" if found.exists() else f"{path!r} does not exist",
                          "run the step that makes it first")
        return found

    def output(self, path: str, field: str, subject: Subject, made_by: str, *, volumes: Iterable[str] = VOLUMES,
               suffixes: tuple[str, ...] = ()) -> Path:
        """The absolute path of an output of the service ``made_by``, the value of the request's ``field``.

        It is ``<volume>/films/<film>/<shot>/<name>`` or, for what is of the whole film, ``videos/films/<film>/<name>``. Raises
        Problem 422 when it is anything else, 409 when something is there that the service didn't make.
        """
        output = self._below(path, field, subject, volumes, suffixes)
        volume, _, _, *rest = path.split("/")
        if not (len(rest) == 2 or (len(rest) == 1 and volume == "videos")):
            raise invalid(field, f"{path!r} is not {volume}/films/<film>/<shot>/<name>"
                          + (" or videos/films/<film>/<name>" if volume == "videos" else ""), _REMEDY)
        if len(rest) == 2 and not limits.is_shot_id(rest[0]):
            raise invalid(field, f"{rest[0]!r} is not the id of a shot", _REMEDY)
        if len(rest) == 2 and subject.shot and rest[0] != subject.shot:
            raise invalid(field, f"{path!r} is not of the shot {subject.shot}", _REMEDY)
        if path.endswith(".json"):
            raise invalid(field, f"{path!r} ends like a sidecar", _REMEDY)
        require_own(output, made_by)
        return output

    def resolve(self, path: str, field: str, *, volumes: Iterable[str] = VOLUMES, suffixes: tuple[str, ...] = ()) -> Path:
        """The absolute path of a path on one of the volumes.

        Raises Problem 422 when it is absolute, unclean, hidden, on another volume, or leaves its volume over a symbolic link;
        with ``suffixes`` also when its name ends in none of them.
        """
        volumes = tuple(volumes)
        parts = path.split("/")
        if not path or len(path.encode("utf-8", "replace")) > 1024:
            raise _refused(field, path, "is empty or longer than 1024 bytes")
        if path.startswith("/"):
            raise _refused(field, path, "is absolute")
        if any(ord(c) < 32 or c in "\\\x7f" or 0xD800 <= ord(c) <= 0xDFFF for c in path):
            raise _refused(field, path, "holds a control character or a backslash")
        if any(part in ("", ".", "..") for part in parts):
            raise _refused(field, path, "is not clean")
        # 200 bytes leave room for what temporary names add, within the file system's 255.
        if any(part.startswith(".") or len(part.encode()) > 200 for part in parts):
            raise _refused(field, path, "has a hidden or an overlong component")
        if parts[0] not in volumes or len(parts) < 2:
            raise _refused(field, path, f"is not inside {' or '.join(v + '/' for v in volumes)}")
        if suffixes and not path.endswith(suffixes):
            raise _refused(field, path, f"does not end in {' or '.join(suffixes)}")
        self._require_inside(path, field, (self.root / parts[0]).resolve())
        return self.root / path

    def _below(self, path: str, field: str, subject: Subject, volumes: Iterable[str], suffixes: tuple[str, ...]) -> Path:
        """As ``resolve``, below the folder of the subject's film."""
        found = self.resolve(path, field, volumes=volumes, suffixes=suffixes)
        parts = path.split("/")
        if len(parts) < 4 or parts[1] != "films" or parts[2] != subject.film:
            raise _refused(field, path, f"is not inside the folder of the film {subject.film}")
        self._require_inside(path, field, (self.root / parts[0]).resolve().joinpath("films", subject.film))
        return found

    def _require_inside(self, path: str, field: str, home: Path) -> None:
        try:
            real = (self.root / path).resolve()
            real.stat()
        except FileNotFoundError:
            pass
        except (OSError, RuntimeError):  # a loop of symbolic links, a file where a directory should be
            raise _refused(field, path, "can't be followed") from None
        if not real.is_relative_to(home) or real == home:
            raise _refused(field, path, "is led away by a link")

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
        return invalid(field, why, "frames are frame_00001.png, frame_00002.png … without a gap")

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


def recorded(output: Path) -> dict[str, Any]:
    """What the sidecar of an output says; nothing when there is none, or one that can't be read."""
    try:
        record = json.loads(sidecar(output).read_bytes())
        return record if isinstance(record, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def finished(output: Path, key: str) -> dict[str, Any] | None:
    """The result of an output that is already there under this key, else None: then it is made anew."""
    record = recorded(output)
    return record.get("result") if key and record.get("key") == key and output.exists() else None


def require_own(output: Path, made_by: str) -> None:
    """Raise Problem 409 when something stands at an output, or at its sidecar, that the service ``made_by`` didn't make."""
    def other(path: Path, why: str) -> Problem:
        return Problem(409, "output is not ours", f"{path.name} is there, and {why}",
                       "choose another output, or remove what is there")

    record = recorded(output)
    # Older versions didn't say who made an output: it was whose name it bears in the layout.
    legacy = _LEGACY_OWNERS.get(output.name, _LEGACY_OWNERS.get(output.suffix)) if "key" in record else None
    owner = record.get("made_by", legacy)
    if owner != made_by:
        if os.path.lexists(output):
            raise other(output, f"{made_by} did not make it")
        if os.path.lexists(sidecar(output)):
            raise other(sidecar(output), f"it is no sidecar of {made_by}'s")
    elif output.is_symlink():
        raise other(output, "it is a link")


@contextlib.contextmanager
def writing(output: Path, key: str, made_by: str, *, directory: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Make an output: yields the place to write to and an empty dict for the result.

    When the block ends the output replaces its target and the sidecar is written; when it raises, nothing is left. The
    place is a directory that exists, or a file name that doesn't yet. Raises Problem 409 when something stands in its place
    that ``made_by`` didn't make, 507 when the disk is full.
    """
    with _telling_of_a_full_disk():
        output.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(output)
        place = output.with_name(f".{output.name}.{secrets.token_hex(6)}.tmp")
        result: dict[str, Any] = {}
        try:
            if directory:
                place.mkdir()
            yield place, result
            if directory:
                for entry in place.iterdir():
                    _fsync(entry)
            _fsync(place)
            require_own(output, made_by)
            # Says whose the output is before it stands there, and vouches for no content: neither the old nor, should we die
            # here, the new.
            write_json(sidecar(output), {"key": "", "made_by": made_by, "result": None})
            _replace(place, output)
            _fsync(output.parent)
            write_json(sidecar(output), {"key": key, "made_by": made_by, "result": result})
        finally:
            _remove(place)


@contextlib.contextmanager
def _telling_of_a_full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Problem(507, "insufficient storage", "the volume ran full while the output was written; nothing is left of it",
                      "delete films no longer needed, or enlarge the volume") from error


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
