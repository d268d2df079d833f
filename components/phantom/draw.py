"""Draw a study as a radiograph, with its findings' masks and boxes."""

from dataclasses import dataclass

import numpy as np

from components.phantom.study import Finding, Study


@dataclass(frozen=True)
class DrawnFinding:
    """A finding and where it is: `mask_HW` is bool, `box` is its tight (x, y, width, height) in pixels."""

    finding: Finding
    mask_HW: np.ndarray
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Drawing:
    """A radiograph: `image_HW` float32 in [0, 1], dense tissue bright, the patient's right on the image's left."""

    image_HW: np.ndarray
    findings: tuple[DrawnFinding, ...]


def draw(study: Study, height: int, width: int, rng: np.random.Generator) -> Drawing:
    """Draw a study at a size in pixels; equal generators give equal bytes."""
    raise NotImplementedError
