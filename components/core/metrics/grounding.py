"""Figures of places: pointing game, intersection over union, Dice. Axes: H height, W width."""

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


def normalised(map_HW: Map) -> Map:
    """A map scaled to 0 … 1 by its own extremes, never by those of other images; a constant map becomes 0."""
    low, high = float(map_HW.min()), float(map_HW.max())
    return np.zeros_like(map_HW) if high == low else (map_HW - low) / (high - low)


def peak(map_HW: Map) -> tuple[float, float]:
    """The centre (x, y) of the pixel with the largest value; the first in reading order where several are equal."""
    row, column = np.unravel_index(int(np.argmax(map_HW)), map_HW.shape)
    return float(column) + 0.5, float(row) + 0.5


def points_into(point: tuple[float, float], mask_HW: Mask) -> bool:
    """The pointing game without tolerance: whether the point (x, y) lies in a pixel of the mask.

    Source: Zhang et al., 2018, Top-Down Neural Attention by Excitation Backprop, section 4.2 (there with a tolerance
    of 15 pixels; here 0).
    """
    column, row = int(np.floor(point[0])), int(np.floor(point[1]))
    inside = 0 <= row < mask_HW.shape[0] and 0 <= column < mask_HW.shape[1]
    return inside and bool(mask_HW[row, column])


def box_mask(x: float, y: float, width: float, height: float, size: int) -> Mask:
    """The pixels of a square image whose centre lies in a box, [size, size]; a box outside the image gives none."""
    centres = np.arange(size) + 0.5
    rows, columns = (y <= centres) & (centres < y + height), (x <= centres) & (centres < x + width)
    return rows[:, None] & columns[None, :]


def overlap(predicted: Mask, truth: Mask) -> tuple[np.ndarray, np.ndarray]:
    """Intersection over union and Dice of masks [..., H, W] and [H, W], each [...]; nan where both are empty."""
    shared = np.logical_and(predicted, truth).sum((-2, -1)).astype(np.float64)
    areas = predicted.sum((-2, -1)) + truth.sum((-2, -1)).astype(np.float64)
    nothing = np.full(np.shape(shared), np.nan)
    iou = np.divide(shared, areas - shared, out=nothing.copy(), where=areas > 0)
    return iou, np.divide(2 * shared, areas, out=nothing, where=areas > 0)
