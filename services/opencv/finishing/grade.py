"""Looks and grain.

A look is saturation, then for each channel the colourist's lift, gain and gamma and a contrast around middle grey, all on
display-referred values 0…1: ``(lift + (gain − lift) · v) ^ (1 / gamma)`` as in the lift-gamma-gain wheels of grading desks.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

_LUMA_BGR = np.array([0.0722, 0.7152, 0.2126])  # ITU-R BT.709


@dataclasses.dataclass(frozen=True)
class Look:
    """One grade. ``lift``, ``gamma`` and ``gain`` are (red, green, blue)."""

    saturation: float = 1.0
    lift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gamma: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0

    def matrix(self) -> np.ndarray:
        """The saturation as a 3×3 matrix on BGR."""
        return self.saturation * np.eye(3) + (1 - self.saturation) * np.tile(_LUMA_BGR, (3, 1))

    def table(self) -> np.ndarray:
        """What each 8-bit value of each channel becomes: float32, (1, 256, 3) in BGR, 0…255."""
        value = np.linspace(0, 1, 256)
        channels = []
        for lift, gamma, gain in reversed(list(zip(self.lift, self.gamma, self.gain, strict=True))):
            graded = np.clip(lift + (gain - lift) * value, 0, 1) ** (1 / gamma)
            channels.append(np.clip(0.5 + self.contrast * (graded - 0.5), 0, 1))
        return (np.stack(channels, axis=1)[None] * 255).astype(np.float32)


LOOKS = {
    "neutral": Look(),
    "warm": Look(1.08, (0.02, 0.008, 0.0), (1.06, 1.01, 0.95), (1.0, 0.97, 0.86), 1.04),
    "cold": Look(0.82, (0.0, 0.008, 0.025), (0.95, 1.0, 1.06), (0.88, 0.96, 1.0), 1.04),
    "night": Look(0.6, (0.0, 0.01, 0.035), (0.86, 0.92, 1.04), (0.66, 0.76, 0.94), 1.0),
    "noir": Look(0.0, (0.0, 0.0, 0.0), (0.98, 0.98, 0.98), (1.0, 1.0, 1.0), 1.28),
}


class Grain:
    """Light film grain, the same for the same seed, frame number and size.

    A plate somewhat larger than the frame is made once; every frame takes another cut of it, mirrored or not, which costs
    next to nothing and has no visible repetition.
    """

    STRENGTH = 1.6  # standard deviation in 8-bit levels: seen as texture, gone in an average over a few pixels
    _MARGIN = 128

    def __init__(self, width: int, height: int, seed: int):
        self.width, self.height, self.seed = width, height, seed
        noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(
            (height + self._MARGIN, width + self._MARGIN), dtype=np.float32)
        # Grains are larger than a pixel.
        plate = cv2.GaussianBlur(noise, (0, 0), 0.6)
        self.plate = plate * (self.STRENGTH / plate.std())

    def frame(self, number: int) -> np.ndarray:
        """The grain of one frame in levels: float32, (height, width, 3), equal in all channels."""
        chance = np.random.Generator(np.random.PCG64([self.seed, number]))
        x, y, flip = (int(n) for n in (*chance.integers(0, self._MARGIN, 2), chance.integers(0, 4)))
        cut = self.plate[y:y + self.height, x:x + self.width]
        return cv2.merge([cut[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1]] * 3)


class Grader:
    """Applies one look and grain to frames of one size."""

    def __init__(self, grade: str, width: int, height: int, seed: int):
        look = LOOKS[grade]
        self.matrix = look.matrix() if look.saturation != 1.0 else None
        self.table = look.table()
        self.grain = Grain(width, height, seed)

    def apply(self, frame: np.ndarray, number: int) -> np.ndarray:
        """A graded copy of a BGR uint8 frame; ``number`` chooses its grain."""
        if self.matrix is not None:
            frame = cv2.transform(frame, self.matrix)
        # The table gives fractions of levels and the grain dithers them: no banding in skies.
        return cv2.add(cv2.LUT(frame, self.table), self.grain.frame(number), dtype=cv2.CV_8U)
