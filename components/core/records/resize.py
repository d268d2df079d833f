"""Shard images at the side that a model wants."""

import cv2
import numpy as np
import numpy.typing as npt


def resized(image_SS: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The image at another side, averaged where it shrinks; the same array where it has that side."""
    if image_SS.shape == (side, side):
        return image_SS
    return np.asarray(cv2.resize(image_SS, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
