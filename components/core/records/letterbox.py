"""Letterboxing: an image is scaled into a square, aspect kept, centred, black around it.

Coordinates follow cv2.warpAffine: integer (x, y) are the centres of pixels, so that the left edge of the first pixel is
x = -0.5. An affine maps source pixel centres to shard pixel centres. Boxes and masks instead count pixel edges, as the
published layouts do: a box (x, y, width, height) covers the pixels x … x + width - 1, and `map_box` keeps to that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class Letterbox:
    """Where a source image lies in a shard image of S x S pixels: `height` x `width` pixels from (`top`, `left`)."""

    rows: int
    columns: int
    size: int
    height: int
    width: int
    top: int
    left: int

    @classmethod
    def of(cls, rows: int, columns: int, size: int) -> "Letterbox":
        """The letterbox of a source of `rows` x `columns` pixels."""
        scale = size / max(rows, columns)
        height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
        return cls(rows, columns, size, height, width, (size - height) // 2, (size - width) // 2)

    @property
    def affine(self) -> tuple[float, float, float, float, float, float]:
        """2x3, row-major: shard (x, y) = A · (x, y, 1) of the source, from pixel centre to pixel centre."""
        across, down = self.width / self.columns, self.height / self.rows
        return across, 0.0, 0.5 * across - 0.5 + self.left, 0.0, down, 0.5 * down - 0.5 + self.top

    def apply(
        self, image_HW: npt.NDArray[np.float32] | npt.NDArray[np.uint16], finer: int = 1
    ) -> npt.NDArray[np.uint8]:
        """The image [S, S] in grey levels 0 to 255, of a source [H, W] in steps of 1/`finer` of them.

        By area mean, or bilinear upwards. Means over four pixels come first, as long as they leave at least twice the
        pixels on each axis that are wanted: they cost a quarter.
        """
        rows, columns = self.rows, self.columns
        while min(rows // self.height, columns // self.width) >= 4 and not (rows | columns) & 1:
            rows, columns = rows // 2, columns // 2
            image_HW = cv2.resize(image_HW, (columns, rows), interpolation=cv2.INTER_AREA)
        method = cv2.INTER_AREA if self.height <= self.rows and self.width <= self.columns else cv2.INTER_LINEAR
        scaled = cv2.resize(image_HW, (self.width, self.height), interpolation=method)
        image_SS = np.zeros((self.size, self.size), np.uint8)
        self.inside(image_SS)[:] = np.clip(np.rint(scaled / np.float32(finer)), 0, 255)
        return image_SS

    def inside(self, image_SS: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]:
        """The part [height, width] of a shard image, or of what lies over it, that shows the source: a view."""
        return image_SS[self.top : self.top + self.height, self.left : self.left + self.width]


def map_box(
    affine: Sequence[float], x: float, y: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) in source pixels as a box in shard pixels, both by their edges (see the module)."""
    across, _, right, _, down, below = affine
    return (
        across * x + right + 0.5 - 0.5 * across,
        down * y + below + 0.5 - 0.5 * down,
        across * width,
        down * height,
    )
