"""The pictures: every frame is decoded and every shot measured for itself.

The measures are this program's own and not those of the OpenCV service, so that one does not vouch for the other.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from filmcheck.finding import Report

# Limits: measured on real films and on their bypassed counterparts (test_bypass.py), set between the two.
BLACK_LUMA = 20.0  # mean of 0…255
STILL_LEVELS = 6.0  # greatest change of an 8×8 block's mean over a second
PARALLAX_PIXELS = 1.0  # between frames that are PARALLAX_SECONDS apart
PARALLAX_SECONDS = 1.0
CONTRAST = 8  # levels around a point that may be followed; grain has fewer
DETAIL = 2.0  # mean gradient of luma, levels a pixel
LIKENESS = 0.8  # correlation with the still
EVENNESS = 0.3  # movement of the steps between rendered frames, as a share of the others
GLYPH_SHARE = 0.4  # of a title's letters that must be seen as separate strokes


def frames(film: Path) -> Iterator[np.ndarray]:
    """The film's frames, uint8 BGR, (height, width, 3)."""
    video = cv2.VideoCapture(str(film), cv2.CAP_FFMPEG)
    try:
        while True:
            decoded, frame = video.read()
            if not decoded:
                return
            yield frame
    finally:
        video.release()


def check(report: Report, film: Path, plan: dict, shots: list[dict], stills: dict[str, np.ndarray]) -> None:
    """Decode the film once; check each shot as its frames go by. ``stills`` are the takes by shot id, where known."""
    every = frames(film)
    for shot in shots:
        first, last = (round(at * plan["fps"]) for at in (shot["start"], shot["start"] + shot["seconds"]))
        taken = [frame for _, frame in zip(range(last - first), every, strict=False)]
        report.check(
            f"{shot['id']}.length", abs(len(taken) - (last - first)) <= 1, f"{len(taken)} frames, planned {last - first}"
        )
        if len(taken) > 2:
            _shot(report, plan, shot, taken, stills.get(shot["id"]))


def _shot(report: Report, plan: dict, shot: dict, taken: list[np.ndarray], still: np.ndarray | None) -> None:
    name, fps = shot["id"], plan["fps"]
    luma = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in taken]
    small = [cv2.resize(picture, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).astype(np.float32) for picture in luma]
    darkest = min(float(picture.mean()) for picture in small)
    report.check(f"{name}.not-black", darkest > BLACK_LUMA, f"darkest frame's mean luma {darkest:.1f}")
    # Over one second at a time: a slow camera is not a frozen one.
    second = min(fps, len(small) - 1)
    stillest = min(
        float(np.abs(small[at + second] - small[at]).max()) for at in range(0, len(small) - second, max(1, second // 2))
    )
    report.check(f"{name}.not-frozen", stillest > STILL_LEVELS, f"at least {stillest:.1f} levels change in a second")
    even = evenness(luma)
    report.check(f"{name}.interpolated", even > EVENNESS, f"odd steps move {even:.2f} of what even ones do")
    middle = len(taken) // 2
    if "prompt" not in shot:
        letters, seen = sum(map(str.isalnum, shot["text"])), glyphs(luma[middle])
        report.check(f"{name}.text", seen >= GLYPH_SHARE * letters, f"{seen} strokes, {letters} letters")
        return
    detail = gradient(luma[middle])
    report.check(f"{name}.detail", detail > DETAIL, f"mean gradient {detail:.1f}")
    apart = min(round(PARALLAX_SECONDS * fps), len(luma) - 1)
    places = (0, (len(luma) - apart) // 2, len(luma) - apart - 1)
    known = [moved for at in places if (moved := parallax(luma[at], luma[at + apart])) is not None]
    depth = float(np.median(known)) if known else None
    report.check(
        f"{name}.parallax",
        depth is None or depth > PARALLAX_PIXELS,
        "unknown: too few textured points" if depth is None else f"{depth:.2f} px beyond zoom, pan and roll",
    )
    if still is not None:
        shown = max(likeness(taken[at], still) for at in (0, middle, -1))
        report.check(f"{name}.shows-take", shown > LIKENESS, f"correlation with the still {shown:.2f}")
        graded, how = grade(taken[middle], still, shot["grade"])
        report.check(f"{name}.grade", graded, how)


def gradient(luma: np.ndarray) -> float:
    """Mean magnitude of the gradient of a picture, smoothed so that grain does not count; levels a pixel."""
    smooth = cv2.GaussianBlur(luma, (0, 0), 1.2).astype(np.float32)
    return float(
        cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.25)).mean()
    )


def evenness(luma: list[np.ndarray]) -> float:
    """How evenly a shot moves: the weaker of odd and even steps as a share of the stronger, 0 to 1.

    Frames that were only repeated to reach the rate move at every second step; interpolated ones at each.
    """
    quarter = [cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32) for picture in luma]
    steps = [float(np.abs(after - before).mean()) for before, after in itertools.pairwise(quarter)]
    odd, even = float(np.median(steps[::2])), float(np.median(steps[1::2]))
    return min(odd, even) / max(odd, even, 1e-6)


def glyphs(luma: np.ndarray) -> int:
    """How many separate bright strokes of a letter's size stand out from the ground."""
    height, width = luma.shape
    reach = max(5, height // 8) | 1
    stands_out = cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    _, mask = cv2.threshold(cv2.GaussianBlur(stands_out, (0, 0), 0.8), 60, 255, cv2.THRESH_BINARY)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    sizes = stats[1:count, cv2.CC_STAT_AREA]
    return int(((sizes > height * width * 4e-5) & (sizes < height * width * 0.05)).sum())


def parallax(first: np.ndarray, second: np.ndarray) -> float | None:
    """What no zoom, pan or roll explains of the optical flow between two pictures: pixels, 90th percentile.

    Dense inverse search, on points with contrast around them, and only where there and back again ends where it began.
    None where fewer than 50 such points are: fog and flat art say nothing of depth.
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there, back = flow.calc(first, second, None), flow.calc(second, first, None)
    height, width = first.shape
    pixels = np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), axis=-1)
    landed = pixels + there
    returned = there + cv2.remap(back, landed, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(1e3, 1e3))
    contrast = cv2.morphologyEx(cv2.GaussianBlur(first, (0, 0), 1.5), cv2.MORPH_GRADIENT, np.ones((7, 7), np.uint8))
    usable = (contrast > CONTRAST) & (np.linalg.norm(returned, axis=-1) < 0.7)
    start, goal = pixels[::4, ::4][usable[::4, ::4]], landed[::4, ::4][usable[::4, ::4]]
    if len(start) < 50:
        return None
    cv2.setRNGSeed(1)  # RANSAC draws; the same film must measure the same
    model, _ = cv2.estimateAffinePartial2D(start, goal, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if model is None:
        return None
    return float(np.quantile(np.linalg.norm(goal - (start @ model[:, :2].T + model[:, 2]), axis=1), 0.9))


def likeness(frame: np.ndarray, still: np.ndarray) -> float:
    """Correlation of the coarse luma of a frame with that of the still, over the best of a few zooms and shifts; −1 to 1."""
    size = (96, 54)
    view = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), size, interpolation=cv2.INTER_AREA)
    take = cv2.resize(cv2.cvtColor(still, cv2.COLOR_BGR2GRAY), size, interpolation=cv2.INTER_AREA)
    best = -1.0
    for inner in (0.9, 0.75, 0.6):
        # The part of the frame that surely lies inside the still, wherever the camera went.
        cut = view[round(54 * (1 - inner) / 2) :, round(96 * (1 - inner) / 2) :][: round(54 * inner), : round(96 * inner)]
        for zoom in (0.8, 0.9, 1.0):
            patch = cv2.resize(cut, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
            if patch.std() < 2 or take.std() < 2:
                continue
            best = max(best, float(cv2.matchTemplate(take, patch, cv2.TM_CCOEFF_NORMED).max()))
    return best


def grade(frame: np.ndarray, still: np.ndarray, look: str) -> tuple[bool, str]:
    """Whether the colours of a frame, compared with its still, went where the look sends them; and the figures."""

    def colours(picture: np.ndarray) -> tuple[float, float, float]:
        pixels = picture.reshape(-1, 3).astype(np.float32)
        blue, _, red = pixels.mean(axis=0)
        return float(red - blue), float((pixels.max(axis=1) - pixels.min(axis=1)).mean()), float(pixels.mean())

    (warmth, chroma, luma), (warmth0, chroma0, luma0) = colours(frame), colours(still)
    how = f"{look}: red−blue {warmth0:+.1f} → {warmth:+.1f}, chroma {chroma0:.1f} → {chroma:.1f}, luma {luma0:.0f} → {luma:.0f}"
    return {
        "neutral": abs(warmth - warmth0) < 12 and chroma > 0.7 * chroma0,
        "warm": warmth > warmth0 + 4,
        "cold": warmth < warmth0 - 4,
        "night": luma < 0.92 * luma0 and chroma < max(chroma0, 30.0) and warmth < warmth0 + 2,
        "noir": chroma < 4,
    }[look], how
