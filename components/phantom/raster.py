"""Curves, areas and textures in body coordinates, rendered as arrays.

Body coordinates are (u, v): u runs from the midline to the image's right, which is the patient's left, v from the top
of the radiograph down; 1 is the shorter side of the image, about 40 cm. `side` is +1 for the patient's left, -1 for the
right.
Suffixes: H, W rows and columns, N points, 2 the coordinates (u, v) or (x, y).
"""

from collections.abc import Sequence
from functools import cache, cached_property

import cv2
import numpy as np

FRACTION_BITS = 4
COARSE = 4

Points = Sequence[Sequence[float] | np.ndarray] | np.ndarray


@cache
def _catmull_rom(samples: int) -> np.ndarray:
    """Weights [samples, 4] of four neighbouring knots along a Catmull-Rom segment."""
    t = np.linspace(0, 1, samples, endpoint=False)
    return 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1)


def smooth_curve(knots: Points, samples: int = 8, closed: bool = False) -> np.ndarray:
    """A smooth curve [N, 2] through knots."""
    knots_N2 = np.asarray(knots, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots_N2[-1:], knots_N2, knots_N2[:2]])
    else:
        padded = np.concatenate([2 * knots_N2[:1] - knots_N2[1:2], knots_N2, 2 * knots_N2[-1:] - knots_N2[-2:-1]])
    windows = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)])
    curve_N2 = np.einsum("sk,knc->nsc", _catmull_rom(samples), windows).reshape(-1, 2)
    return curve_N2 if closed else np.concatenate([curve_N2, knots_N2[-1:]])


def moved(curve_N2: np.ndarray, du: float, dv: float = 0.0) -> np.ndarray:
    """A curve moved sideways and down."""
    return curve_N2 + np.array([du, dv])


def ribbon(curve_N2: np.ndarray, width: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two edges [N, 2] of a band of a width around a curve."""
    along = np.gradient(curve_N2, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
    half = np.broadcast_to(np.asarray(width) / 2, len(curve_N2))[:, None]
    return curve_N2 - normal * half, curve_N2 + normal * half


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0, samples: int = 40
) -> np.ndarray:
    """An ellipse [N, 2]; the angle is in radians."""
    turn = np.linspace(0, 2 * np.pi, samples, endpoint=False)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + cosine * x - sine * y, centre[1] + sine * x + cosine * y], 1)


class Canvas:
    """Maps body coordinates to the pixels of one radiograph and renders shapes as float32 [H, W]."""

    def __init__(
        self,
        height: int,
        width: int,
        zoom: float = 1.0,
        tilt: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.height, self.width = height, width
        self.zoom, self.tilt, self.shift = zoom, tilt, shift
        self.unit = min(height, width) * zoom
        cosine, sine = np.cos(tilt) * self.unit, np.sin(tilt) * self.unit
        self._turn_22 = np.array([[cosine, sine], [-sine, cosine]])
        self._origin_2 = np.array([width / 2 + shift[0] * self.unit, height / 2 + shift[1] * self.unit])
        x_W = (np.arange(width) - self._origin_2[0]) / self.unit**2
        y_H = (np.arange(height) - self._origin_2[1])[:, None] / self.unit**2
        self.u_HW = (cosine * x_W + sine * y_H).astype(np.float32)
        self.v_HW = (-sine * x_W + cosine * y_H + 0.5).astype(np.float32)

    def pixels(self, points: Points) -> np.ndarray:
        """Pixel coordinates [N, 2] as cv2's fixed-point integers."""
        offset_N2 = np.asarray(points, dtype=np.float64) - (0.0, 0.5)
        return np.rint((offset_N2 @ self._turn_22 + self._origin_2) * 2**FRACTION_BITS).astype(np.int32)

    def _blank(self) -> np.ndarray:
        return np.zeros((self.height, self.width), dtype=np.uint8)

    def area(self, *polygons: Points, soft: float = 0.0) -> np.ndarray:
        """The union of polygons: 1 inside, 0 outside, the edge blurred by `soft`."""
        image_HW = self._blank()
        for polygon in polygons:
            cv2.fillPoly(image_HW, [self.pixels(polygon)], 255, lineType=cv2.LINE_AA, shift=FRACTION_BITS)
        return self.as_float(image_HW, soft)

    def lines(self, curves: Sequence[Points], width: float, soft: float = 0.0, closed: bool = False) -> np.ndarray:
        """Curves of a width: 1 on them, 0 elsewhere; a line thinner than a pixel is fainter instead."""
        image_HW = self._blank()
        self.add_lines(image_HW, curves, width, 1.0, closed)
        return self.as_float(image_HW, soft)

    def add_lines(
        self, image_HW: np.ndarray, curves: Sequence[Points], width: float, value: float, closed: bool = False
    ) -> None:
        """Draw curves over a uint8 image with a value of at most 1."""
        pixels = width * self.unit
        level = round(255 * value * min(1.0, pixels))
        joined = self.pixels(np.concatenate([np.asarray(curve) for curve in curves]))
        shapes = np.split(joined, np.cumsum([len(curve) for curve in curves])[:-1])
        cv2.polylines(image_HW, shapes, closed, level, max(1, round(pixels)), cv2.LINE_AA, FRACTION_BITS)

    def as_float(self, image_HW: np.ndarray, soft: float) -> np.ndarray:
        """A uint8 image blurred by `soft`, from 0 to 1."""
        return self.blur(image_HW, soft).astype(np.float32) * np.float32(1 / 255)

    def blur(self, image_HW: np.ndarray, soft: float) -> np.ndarray:
        """Gaussian blur with a deviation in body units; wide ones are computed on a coarser grid."""
        deviation = soft * self.unit
        if deviation < 0.3:
            return image_HW
        coarse = int(min(deviation // 2, min(image_HW.shape) // 8))
        if coarse < 2:
            return cv2.GaussianBlur(image_HW, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
        size = (-(-self.width // coarse), -(-self.height // coarse))
        small = cv2.resize(image_HW, size, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), deviation / coarse, borderType=cv2.BORDER_REPLICATE)
        return cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR)

    def texture(self, rng: np.random.Generator, grain: float) -> np.ndarray:
        """Smooth noise of mean 0 and deviation about 1, with blotches of a size in body units."""
        rows = max(4, round(self.height / self.unit / grain))
        columns = max(4, round(self.width / self.unit / grain))
        small = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(1.35)
        return cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_CUBIC)

    @cached_property
    def coarse(self) -> "Canvas":
        """The same view on a grid of `COARSE` times fewer rows and columns, for what is smooth."""
        return Canvas(-(-self.height // COARSE), -(-self.width // COARSE), self.zoom, self.tilt, self.shift)

    def from_coarse(self, image_HW: np.ndarray) -> np.ndarray:
        """An image of the coarse grid on this one."""
        return cv2.resize(image_HW, (self.width, self.height), interpolation=cv2.INTER_LINEAR)

    def blob(self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> np.ndarray:
        """A Gaussian hill of height 1 whose deviations are the radii."""
        if min(radii) * self.unit > 1.5 * COARSE:
            return self.from_coarse(self.coarse.blob(centre, radii, angle))
        du, dv = self.u_HW - np.float32(centre[0]), self.v_HW - np.float32(centre[1])
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along, across = (
            (cosine * du + sine * dv) / np.float32(radii[0]),
            (cosine * dv - sine * du) / np.float32(radii[1]),
        )
        return np.exp(np.float32(-0.5) * (along * along + across * across))
