"""Files that are whole whenever they can be seen: written or linked under a hidden name, then renamed; and gone at once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sidecar(output: Path) -> Path:
    """Where the record of an output stands."""
    return output.with_name(output.name + ".json")


@contextmanager
def hidden(target: Path) -> Iterator[Path]:
    """A name beside `target` for its draft; whatever stands there at the end is removed."""
    place = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield place
    finally:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


def write(target: Path, content: bytes) -> None:
    """Replace a file: written beside, fsynced, renamed. Makes the directory where there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with hidden(target) as place:
        with open(place, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        place.replace(target)


def put(place: Path, output: Path, record: dict) -> None:
    """Rename a draft to its place and note it as `record` (`key`, `made_by`, `result`) in its sidecar.

    The record comes last, since it vouches for the output. Before it, another without a key says whose the output is: a
    service replaces nothing that it did not make (services/aifilm/volume.py).
    """
    write(sidecar(output), json.dumps({"key": "", "made_by": record["made_by"], "result": None}).encode())
    place.replace(output)
    write(sidecar(output), json.dumps(record).encode())


def discard(output: Path) -> None:
    """Remove an output, a file or a directory: at no moment is half of it seen.

    Its sidecar stays and says whose the output was; it vouches for nothing that is not there.
    """
    with hidden(output) as place:
        try:
            output.rename(place)
        except FileNotFoundError:
            pass  # nothing there


def digest(file: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
