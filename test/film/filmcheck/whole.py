"""Watches the volumes while films are made: everything that can be seen (no leading dot) is whole at every moment.

An output is looked at when it appears and whenever it is another one: a picture and a video are decoded, a sidecar is a
record, a directory of frames has all its frames from the moment it is seen to the moment it goes.
"""

import json
import os
import re
import struct
import threading
from pathlib import Path

import cv2
import numpy as np

POLL_SECONDS = 0.05
_FRAME = re.compile(r"frame_(\d{5})\.png")


def fault_of_png(content: bytes) -> str:
    """What is wrong with a PNG, '' when it is whole."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return f"no PNG: {len(content)} bytes"
    if not content.endswith(b"IEND\xaeB`\x82"):
        return f"cut off after {len(content)} bytes"
    return "" if cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) is not None else "can't be decoded"


def fault_of_jpeg(content: bytes) -> str:
    """What is wrong with a JPEG, '' when it is whole."""
    whole = content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")
    return "" if whole else f"{len(content)} bytes are no whole JPEG"


def fault_of_mp4(path: Path) -> str:
    """What is wrong with an MP4, '' when its boxes fill the file to the byte and its frames can be decoded."""
    content, at, kinds = path.read_bytes(), 0, []
    while at < len(content):
        if at + 8 > len(content):
            return f"cut off in the header at {at}"
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if size == 1:
            size = struct.unpack(">Q", content[at + 8 : at + 16])[0]
        if size < 8 or at + size > len(content):
            return f"box {kind!r} at {at} has {size} bytes, the file {len(content)}"
        kinds.append(kind)
        at += size
    if not {b"ftyp", b"moov", b"mdat"} <= set(kinds):
        return f"boxes {kinds}"
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        wanted, frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        while video.grab():
            frames += 1
        return "" if 0 < wanted == frames else f"{frames} frames of {wanted} can be decoded"
    finally:
        video.release()


def fault_of_record(content: bytes) -> str:
    """What is wrong with an output's sidecar, '' when it is whole."""
    try:
        record = json.loads(content)
        return "" if {"key", "result"} <= record.keys() else f"no record: it has only {sorted(record)}"
    except (ValueError, AttributeError) as error:
        return f"no record: {error!r}"


class Watcher(threading.Thread):
    """Looks at the films' directories below ``data`` until ``close``; ``faults`` are what was not whole, one text each."""

    def __init__(self, data: Path):
        super().__init__(name="watcher", daemon=True)
        self.data = data
        self.faults: list[str] = []
        self.looked = 0
        self.over = threading.Event()
        self._seen: dict[Path, tuple] = {}
        self._frames: dict[Path, tuple[int, frozenset[str]]] = {}

    def run(self) -> None:
        while not self.over.is_set():
            self.round()
            self.over.wait(POLL_SECONDS)

    def close(self) -> None:
        self.over.set()
        self.join()
        self.round()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def round(self) -> None:
        """Look at everything that changed since the last time."""
        for volume in ("images", "videos"):
            self._directory(self.data / volume / "films")

    def _directory(self, directory: Path) -> None:
        try:
            with os.scandir(directory) as entries:
                visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in visible:
            path = Path(entry.path)
            try:
                is_directory, status = entry.is_dir(), entry.stat()
                if is_directory and path.name in ("move", "finish"):
                    self._shot(path, status.st_ino)
                elif is_directory:
                    self._directory(path)
                else:
                    self._file(path, status)
            except FileNotFoundError:
                continue  # replaced or removed since: that is no half of anything

    def _file(self, path: Path, status: os.stat_result) -> None:
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._seen.get(path) == identity:
            return
        # What is replaced while it is read is read to the end all the same: the name goes to another file.
        look = {".png": lambda path: fault_of_png(path.read_bytes()), ".jpg": lambda path: fault_of_jpeg(path.read_bytes()),
                ".mp4": fault_of_mp4, ".json": lambda path: fault_of_record(path.read_bytes())}  # fmt: skip
        fault = look.get(path.suffix, lambda path: "")(path)
        now = path.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != identity:
            if now.st_ino == status.st_ino:
                self._fault(path, f"changed in place from {status.st_size} to {now.st_size} bytes")
            return  # another one: the next round looks at it
        self._seen[path] = identity
        self.looked += 1
        if fault:
            self._fault(path, fault)

    def _shot(self, directory: Path, inode: int) -> None:
        names = frozenset(name for name in os.listdir(directory) if not name.startswith("."))
        if directory.stat().st_ino != inode:
            return  # another one since: the next round looks at it
        known = self._frames.get(directory)
        if known is None or known[0] != inode:
            numbers = sorted(int(found[1]) for name in names if (found := _FRAME.fullmatch(name)))
            if not numbers or numbers != list(range(1, len(numbers) + 1)):
                self._fault(directory, f"frames {numbers[:3]} … of {len(names)} files")
            faults = {name: fault_of_png((directory / name).read_bytes()) for name in names if _FRAME.fullmatch(name)}
            if directory.stat().st_ino != inode:
                return
            for name, fault in faults.items():
                if fault:
                    self._fault(directory / name, fault)
            self._frames[directory] = (inode, names)
            self.looked += 1
        elif known[1] != names:
            self._fault(directory, f"had {len(known[1])} files when it appeared, now {len(names)}")
            self._frames[directory] = (inode, names)

    def _fault(self, path: Path, what: str) -> None:
        self.faults.append(f"{path.relative_to(self.data)}: {what}")
