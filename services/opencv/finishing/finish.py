"""Finishing a shot: frames at the rate they were rendered in, graded frames at the film's rate out."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import limits

# Larger than any picture of a film. The library's own bound is read once, when it first decodes.
MAX_SIDE = 2048
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_SIDE * MAX_SIDE)

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from aifilm.service import Problem, invalid  # noqa: E402
from aifilm.volume import FRAME  # noqa: E402
from finishing.grade import Grader  # noqa: E402
from finishing.interpolate import Pair, make_flow  # noqa: E402

# More than a whole film has; frames are numbered with five digits.
MAX_FRAMES = round(limits.SECONDS.max * limits.FPS)


def size_of(frames: list[Path], field: str) -> tuple[int, int]:
    """Width and height of the frames, read from their headers.

    Raises Problem 422 when one is not a PNG, is larger than 2048 on a side, is a larger file than its pixels can fill, or
    differs in size from the first.
    """
    def refused(frame: Path, why: str) -> Problem:
        return invalid(field, f"{frame.name} {why}", "render the shot again with one size")

    first = None
    for frame in frames:
        # Not followed: a link leads anywhere. Not waited for: a pipe has no end.
        about = frame.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise refused(frame, "is not a regular file")
        with open(frame, "rb") as content:
            header = content.read(24)
        # PNG (ISO/IEC 15948) 5.2 and 11.2.2: the signature, then IHDR with width and height.
        if len(header) < 24 or header[:8] != b"\x89PNG\r\n\x1a\n" or header[12:16] != b"IHDR":
            raise refused(frame, "is not a PNG file")
        width, height = struct.unpack(">II", header[16:24])
        if not (8 <= width <= MAX_SIDE and 8 <= height <= MAX_SIDE):
            raise refused(frame, f"is {width}×{height}; each side must be between 8 and {MAX_SIDE}")
        first = first or (width, height)
        if (width, height) != first:
            raise refused(frame, f"is {width}×{height}, the first frame is {first[0]}×{first[1]}")
        # At most 8 bytes a pixel (four channels of 16 bits), hardly compressed, and what else a PNG says.
        if about.st_size > width * height * 9 + (1 << 20):
            raise refused(frame, f"has {about.st_size >> 20} MiB, more than {width}×{height} pixels can fill")
    return first


def read(path: Path) -> np.ndarray:
    """A frame as BGR uint8. Raises Problem 422 when it can't be decoded."""
    try:
        frame = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        frame = None
    if frame is None:
        raise Problem(422, "unreadable media", f"{path.name} is damaged", "render the shot again")
    return frame


def interpolated(frames: list[Path], ratio: int) -> Iterator[np.ndarray]:
    """``len(frames) × ratio`` frames: each of the given, followed by ``ratio − 1`` in between.

    What follows the last frame is extrapolated from the last pair, so the shot doesn't stop before it ends. Two decoded frames
    are held at a time.
    """
    estimator = make_flow()
    before, pair = read(frames[0]), None
    for path in frames[1:]:
        after = read(path)
        yield before
        if ratio > 1:
            pair = Pair(before, after, estimator)
            for step in range(1, ratio):
                yield pair.at(step / ratio)
        before = after
    yield before
    for step in range(1, ratio):
        yield pair.after(step / ratio) if pair else before


def finish(frames: list[Path], output: Path, *, ratio: int, grade: str, seed: int,
           progress: Callable[[float], None] = lambda fraction: None) -> int:
    """Write the finished frames into the directory ``output`` and return how many there are."""
    total = len(frames) * ratio
    grader = None
    for number, frame in enumerate(interpolated(frames, ratio), 1):
        if grader is None:
            grader = Grader(grade, frame.shape[1], frame.shape[0], seed)
        # Grain leaves nothing for a higher level to find; level 1 is four times as fast.
        encoded = cv2.imencode(".png", grader.apply(frame, number), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        # Not by the library, which does not tell of a disk that ran full while it closed the file.
        (output / FRAME.format(number)).write_bytes(encoded)
        progress(number / total)
    return total
