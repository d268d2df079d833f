"""Radiographs as plain pictures: PNG of one channel or of four, and JPEG, without a header."""

import imagecodecs
import numpy as np
import numpy.typing as npt

from components.phantom.dicom_writer import JPEG_QUALITY, Shot
from components.phantom.scanner import Codec, expose

SUFFIX: dict[Codec, str] = {"png": ".png", "png_rgba": ".png", "jpeg": ".jpg"}


def write_picture(image_HW: npt.NDArray[np.float32], shot: Shot, rng: np.random.Generator) -> bytes:
    """A picture's bytes for a radiograph in [0, 1], bright for dense; equal arguments give equal bytes."""
    stored_HW = expose(image_HW, shot.unit, rng)
    assert stored_HW.dtype == np.uint8, shot.unit.model
    if shot.codec == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(stored_HW, level=JPEG_QUALITY))
    if shot.codec == "png_rgba":
        return bytes(imagecodecs.png_encode(np.dstack([stored_HW] * 3 + [np.full_like(stored_HW, 255)])))
    return bytes(imagecodecs.png_encode(stored_HW))
