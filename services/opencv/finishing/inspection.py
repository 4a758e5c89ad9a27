"""Inspection of a finished film: every frame is decoded, every shot measured.

What is measured, and where the limits come from:

``luma_mean``, ``luma_std``
    Mean and standard deviation of the luma of all the shot's pixels, 0…255.
``motion_mean``
    Mean absolute difference of luma between consecutive frames, in levels, on a picture reduced 8 × 8 by averaging.
``black``
    A frame is black when at least 99.5 % of its pixels are at most 6 % bright; a shot is black when its frames are for more
    than half a second or half the shot. FFmpeg's ``blackdetect`` has 98 %, 10 % and 2 s; a title's few bright letters on a
    dark ground must not count as black, hence the stricter figures.
``frozen``
    The picture stays for more than a second, or for all of a shorter shot. FFmpeg's ``freezedetect`` compares with the frame
    at which the stillness began, so slow movement adds up, and so do we; its noise tolerance of −60 dB is for clean
    pictures, so ours is on the 8 × 8 averages, in which film grain all but vanishes: 99.5 % of them differ by less than 2.5
    levels. Unknown (None) where a picture stays that would do so even if it moved by 2 pixels, a slow camera's way in a
    second: fog, an even colour, the dark.
``parallax``
    What is left of the optical flow over a second (over half of a shorter shot), in pixels, after the best similarity
    transform (zoom, pan, roll; RANSAC) is taken away: the 90th percentile over textured points that both directions of the
    flow agree on, the median of three places in the shot. A flat picture that is zoomed or panned leaves a quarter of a
    pixel, a nearly black one more than half. Unknown (None) where too few points can be followed, or all in one part of
    the picture, which a zoom explains at any depth: fog, flat art, snow, few lines, the dark. Of the preview's stills
    55 % of the points can be followed, of a fast shot of them 23 %, in all parts; of flat shapes, sparse lines and falling
    flakes at most 8 %.
``tears``
    Of all the edges along which one side moves apart from the other, by a 100th of the width, the share (0…1) across which
    the picture does not change: there one thing is torn, while what stands before another differs from it. Only points
    that can be followed on both sides count. From the middle of the shot, where the still is seen as it is, to a second
    before and a second after (half of a shorter shot), the greater; unknown (None) where parallax is. At most 0.07 in nine
    shots of a film of the preview's stills, and 0.14 in 22 of them that a fast camera trucks by, all figures whole; 0.34
    where a lamp had cut head and arms from a coat; 0.02 for someone drawn whole, 0.18 and more cut by a lamp behind the
    head, or in two. What has no texture beside the cut isn't seen.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from aifilm.service import Problem
from finishing.interpolate import grid, warp

# A «video» that is really a playlist must not make the decoder open anything else.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")

BLACK_LEVEL, BLACK_SHARE, BLACK_SECONDS = 0.06 * 255, 0.995, 0.5
STILL_LEVELS, STILL_SHARE, FROZEN_SECONDS = 2.5, 0.995, 1.0
REDUCTION = 8
SLOW_PIXELS = 2
PARALLAX_SECONDS, PARALLAX_STEP = 1.0, 6
# Of the points of the picture, how many must be followed; in how many of 4 × 4 parts, and how many of the points of each.
FOLLOWED_SHARE, FOLLOWED_PARTS, FOLLOWED_IN_PART = 0.1, 8, 0.05
MAX_PIXELS = 4096 * 4096
# Across an edge: how far apart both sides are looked at, the least movement (shares of the width), and how much of a step, in
# levels over all three channels, is none. What is torn is a share of at least this length, in widths.
TEAR_REACH, TEAR_MOVES, TEAR_LEVELS, TEAR_LENGTH = 1 / 40, 1 / 100, 24, 1 / 4


@dataclasses.dataclass(frozen=True)
class Shot:
    """A stretch of the film, in seconds."""

    id: str
    start: float
    seconds: float


class Measure:
    """Measures one shot, fed its frames in order; ``first`` ≤ frame number < ``end``."""

    def __init__(self, shot: Shot, fps: float):
        self.id, self.fps = shot.id, fps
        self.first = round(shot.start * fps)
        self.end = max(self.first + 1, round((shot.start + shot.seconds) * fps))
        self.frames = 0
        self.luma_sum = self.luma_squares = self.motion_sum = 0.0
        self.black = 0
        self.still = self.longest_still = self.longest_unseen = 0
        self.telling = False  # whether the anchor would not look still if it moved
        self.previous = self.anchor = None
        baseline = min(round(PARALLAX_SECONDS * fps), (self.end - self.first) // 2)
        # Frames between which the flow is measured: number of the first → of the second, counted from the shot's start.
        last = self.end - self.first - 1 - baseline
        self.pairs = dict.fromkeys((0, last // 2, last), baseline) if baseline > 0 else {}
        # What is torn is looked for between the middle, where the still itself is seen, and as long before and after.
        middle = (last + baseline) // 2
        self.before, self.middle, self.after = max(0, middle - baseline), middle, min(middle + baseline, last + baseline)
        self.kept: dict[int, np.ndarray] = {}
        self.residuals: list[float | None] = []
        self.around: dict[int, np.ndarray] = {}
        self.torn: list[float] = []

    def add(self, frame: np.ndarray, luma: np.ndarray, reduced: np.ndarray) -> None:
        """Take the next frame: BGR and luma uint8, and that reduced, float32."""
        mean, deviation = cv2.meanStdDev(luma)
        self.luma_sum += float(mean[0, 0])
        self.luma_squares += float(deviation[0, 0]) ** 2 + float(mean[0, 0]) ** 2
        self.black += bool(np.count_nonzero(luma <= BLACK_LEVEL) >= BLACK_SHARE * luma.size)
        if self.previous is not None:
            self.motion_sum += float(cv2.absdiff(reduced, self.previous).mean())
        self.previous = reduced
        if self.anchor is not None and np.quantile(cv2.absdiff(reduced, self.anchor), STILL_SHARE) < STILL_LEVELS:
            self.still += 1
        else:
            self.anchor, self.still, self.telling = reduced, 1, telling(reduced)
        if self.telling:
            self.longest_still = max(self.longest_still, self.still)
        else:
            self.longest_unseen = max(self.longest_unseen, self.still)
        self._flow(frame)
        self.frames += 1

    def _flow(self, frame: np.ndarray) -> None:
        number = self.frames
        if number in self.pairs:
            self.kept[number] = frame
        for first in [first for first in self.kept if first + self.pairs[first] == number]:
            self.residuals.append(Movement(self.kept.pop(first), frame).parallax())
        if number in (self.before, self.middle):
            self.around[number] = frame
        if number == self.middle > self.before:
            self._tears(frame, self.around.pop(self.before))
        if number == self.after > self.middle:
            self._tears(self.around.pop(self.middle), frame)

    def _tears(self, whole: np.ndarray, moved: np.ndarray) -> None:
        tears = Movement(whole, moved).tears()
        if tears is not None:
            self.torn.append(tears)

    def result(self) -> dict[str, Any]:
        mean = self.luma_sum / self.frames
        seconds = self.frames / self.fps
        known = [residual for residual in self.residuals if residual is not None]
        followed = 2 * len(known) > len(self.residuals)
        frozen = self._stays(self.longest_still)
        return {
            "id": self.id, "frames": self.frames, "luma_mean": round(mean, 2),
            "luma_std": round(max(0.0, self.luma_squares / self.frames - mean * mean) ** 0.5, 2),
            "motion_mean": round(self.motion_sum / max(1, self.frames - 1), 3),
            "black": self.black / self.fps > min(BLACK_SECONDS, seconds / 2),
            "frozen": None if not frozen and self._stays(self.longest_unseen) else frozen,
            "parallax": round(median(known), 2) if followed else None,
            "tears": round(max(self.torn), 2) if followed and self.torn else None,
        }

    def _stays(self, frames: int) -> bool:
        return self.frames > 1 and (frames / self.fps > FROZEN_SECONDS or frames == self.frames)


def telling(reduced: np.ndarray) -> bool:
    """Whether a reduced picture would change enough to be seen if it moved by SLOW_PIXELS of the full size."""
    changes = [np.abs(np.diff(reduced, axis=axis)) for axis in (0, 1) if reduced.shape[axis] > 1]
    return any(np.quantile(change, STILL_SHARE) * SLOW_PIXELS / REDUCTION >= STILL_LEVELS for change in changes)


class Movement:
    """What moved between two BGR frames of one shot, as far as it can be followed."""

    def __init__(self, first: np.ndarray, second: np.ndarray):
        estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # Grain is no movement.
        before, after = (cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (0, 0), 1.5) for frame in (first, second))
        there, back = estimator.calc(before, after, None), estimator.calc(after, before, None)
        height, width = before.shape
        self.first, self.flow, self.pixels = first, there, grid(height, width)
        self.landed = self.pixels + there
        # Flow is only known where there is something to follow; elsewhere it is made up from the surroundings.
        slope = cv2.magnitude(*(cv2.Sobel(before, cv2.CV_32F, dx, 1 - dx, scale=0.125) for dx in (1, 0)))
        inside = (self.landed >= 0).all(axis=2) & (self.landed[..., 0] <= width - 1) & (self.landed[..., 1] <= height - 1)
        self.usable = (cv2.dilate(slope, np.ones((5, 5))) > 1.5) & inside & ~hidden(there, back, self.pixels)
        self.enough = enough(self.usable[::PARALLAX_STEP, ::PARALLAX_STEP])

    def parallax(self) -> float | None:
        """What no zoom, pan or roll explains: pixels, 90th percentile. None where too little can be followed to tell."""
        if not self.enough:
            return None
        usable = self.usable[::PARALLAX_STEP, ::PARALLAX_STEP]
        start = self.pixels[::PARALLAX_STEP, ::PARALLAX_STEP][usable]
        goal = self.landed[::PARALLAX_STEP, ::PARALLAX_STEP][usable]
        cv2.setRNGSeed(1)  # RANSAC draws; the same film must measure the same
        model, _ = cv2.estimateAffinePartial2D(start, goal, method=cv2.RANSAC, ransacReprojThreshold=1.0)
        if model is None:
            return None
        explained = start @ model[:, :2].T + model[:, 2]
        return float(np.quantile(np.linalg.norm(goal - explained, axis=1), 0.9))

    def tears(self) -> float | None:
        """The share of the edges of movement that are none of the picture, 0…1. None where too little can be followed."""
        if not self.enough:
            return None
        width = self.first.shape[1]
        reach = max(2, round(TEAR_REACH * width))
        soft = cv2.GaussianBlur(self.first, (0, 0), 1.5).astype(np.float32)
        step = np.maximum(*(across(soft, reach, axis) for axis in (0, 1)))
        same = cv2.dilate(step, np.ones((5, 5))) < TEAR_LEVELS
        torn = length = 0
        for axis in (0, 1):
            apart = across(self.flow, reach, axis)
            # An edge is where both sides part most.
            most = apart >= cv2.dilate(apart, np.ones((1, 2 * reach + 1) if axis else (2 * reach + 1, 1)))
            followed = np.roll(self.usable, reach, axis) & np.roll(self.usable, -reach, axis)
            edge = (apart > TEAR_MOVES * width) & most & followed
            edge = edge[2 * reach:-2 * reach, 2 * reach:-2 * reach]
            torn += np.count_nonzero(edge & same[2 * reach:-2 * reach, 2 * reach:-2 * reach])
            length += np.count_nonzero(edge)
        return float(torn / max(length, TEAR_LENGTH * width))


def across(picture: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """How much the two sides of each pixel, at this reach along an axis, differ; the picture goes on at its other end."""
    return np.linalg.norm(np.roll(picture, reach, axis) - np.roll(picture, -reach, axis), axis=2)


def enough(followed: np.ndarray) -> bool:
    """Whether the points of a grid, bool, that can be followed are many, and all over the picture."""
    parts = [part for band in np.array_split(followed, 4) for part in np.array_split(band, 4, axis=1) if part.size]
    peopled = sum(part.mean() >= FOLLOWED_IN_PART for part in parts)
    return bool(followed.sum() >= max(8, FOLLOWED_SHARE * followed.size) and peopled >= FOLLOWED_PARTS)


def hidden(there: np.ndarray, back: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Where a pixel of the first picture is not seen in the second, bool, (height, width): there and back again misses the
    start by more than a share of the way and a constant, both of Sundaram et al., «Dense point trajectories», ECCV 2010."""
    returned = warp(back, there, pixels)
    miss = ((there + returned) ** 2).sum(axis=2)
    moved = (there ** 2).sum(axis=2) + (returned ** 2).sum(axis=2)
    return miss > 0.01 * moved + 0.5


def open_video(path: Path) -> cv2.VideoCapture:
    """The video, open. Raises Problem 422 when it isn't one or is too large."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    width, height = (int(video.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if not video.isOpened() or width <= 0 or height <= 0 or not video.get(cv2.CAP_PROP_FPS) > 0:
        video.release()
        raise Problem(422, "unreadable media", f"video: {path.name} can't be decoded as a video",
                      "give the path of an encoded film", errors=[{"field": "video", "message": "can't be decoded"}])
    if width * height > MAX_PIXELS:
        video.release()
        raise Problem(422, "unreadable media", f"video: {width}×{height} is larger than {MAX_PIXELS} pixels",
                      "encode it smaller", errors=[{"field": "video", "message": "too large"}])
    return video


def inspect(path: Path, shots: Iterable[Shot], progress: Callable[[float], None] = lambda fraction: None) -> dict[str, Any]:
    """Decode every frame of a video and measure every shot.

    Raises Problem 422 when nothing can be decoded, the file is damaged half-way, or a shot lies outside the video.
    """
    video = open_video(path)
    try:
        fps = video.get(cv2.CAP_PROP_FPS)
        expected = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        measures = [Measure(shot, fps) for shot in shots]
        frames = width = height = 0
        while True:
            decoded, frame = video.read()
            if not decoded:
                break
            height, width = frame.shape[:2]
            luma = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            small = (max(1, width // REDUCTION), max(1, height // REDUCTION))
            reduced = cv2.resize(luma, small, interpolation=cv2.INTER_AREA).astype(np.float32)
            for measure in measures:
                if measure.first <= frames < measure.end:
                    measure.add(frame, luma, reduced)
            frames += 1
            progress(frames / max(expected, frames + 1))
    finally:
        video.release()
    if frames == 0 or frames < expected:
        raise Problem(422, "unreadable media", f"video: {frames} of {expected} frames could be decoded", "cut the film again",
                      errors=[{"field": "video", "message": "damaged"}])
    for measure in measures:
        if measure.frames == 0:
            raise Problem(422, "invalid request", f"shots: {measure.id} begins at {measure.first / fps:.2f} s, "
                          f"the video ends at {frames / fps:.2f} s", "give the shots of this film",
                          errors=[{"field": "shots", "message": f"{measure.id} is outside the video"}])
    return {"frames": frames, "fps": round(fps, 3), "width": width, "height": height,
            "shots": [measure.result() for measure in measures]}
