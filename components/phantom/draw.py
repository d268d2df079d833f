"""Draw a study as a radiograph, with its findings' masks and boxes."""

from dataclasses import dataclass

import numpy as np

from components.phantom.body import sample_body
from components.phantom.exposure import expose, sample_exposure
from components.phantom.raster import Canvas
from components.phantom.scene import build_scene
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
    seeds = rng.integers(2**63, size=4)
    body_rng, lung_rng, technique_rng, noise_rng = (np.random.default_rng(seed) for seed in seeds)
    exposure = sample_exposure(study.view, technique_rng)
    canvas = Canvas(height, width, exposure.zoom, exposure.tilt, exposure.shift)
    body = sample_body(study.patient, study.view, body_rng)
    scene = build_scene(canvas, body, body, lung_rng)
    image_HW = expose(scene.attenuation(), exposure, canvas, noise_rng)
    return Drawing(image_HW, ())
