"""Draw a study as a radiograph, with its findings' masks and boxes."""

from dataclasses import dataclass

import cv2
import numpy as np

from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGIES, PATHOLOGY_INDEX
from components.phantom.body import sample_body
from components.phantom.exposure import UNEXPOSED, expose, exposed, sample_exposure
from components.phantom.findings import PAINT, RESHAPE
from components.phantom.raster import Canvas
from components.phantom.scene import build_scene
from components.phantom.study import UNSEEN, Finding, Study

NUMBERS = PATHOLOGY_INDEX | {name: len(PATHOLOGIES) + place for place, name in enumerate(UNSEEN)}


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


def tight_box(mask_HW: np.ndarray) -> tuple[int, int, int, int]:
    """The (x, y, width, height) of the smallest box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def _finding_rng(seed: int, finding: Finding) -> np.random.Generator:
    """A generator of the finding's own, so that other findings leave its looks unchanged."""
    return np.random.default_rng([seed, NUMBERS[finding.pathology], ANATOMY_INDEX[finding.anatomy]])


def draw(study: Study, height: int, width: int, rng: np.random.Generator) -> Drawing:
    """Draw a study at a size in pixels; equal generators give equal bytes.

    With equal generators, studies that differ in their findings show the same patient in the same technique. A finding
    of which nothing lies inside the exposed frame is not among those drawn.
    """
    seeds = [int(seed) for seed in rng.integers(2**63, size=5)]
    body_rng, lung_rng, technique_rng, noise_rng = (np.random.default_rng(seed) for seed in seeds[:4])
    exposure = sample_exposure(study.view, technique_rng)
    canvas = Canvas(height, width, exposure.zoom, exposure.tilt, exposure.shift)
    normal = sample_body(study.patient, study.view, body_rng)
    body = normal
    for finding in study.findings:
        if finding.pathology in RESHAPE:
            body = RESHAPE[finding.pathology](body, finding)
    scene = build_scene(canvas, body, normal, lung_rng)
    frame = exposed(height, width, exposure)
    drawn = []
    for finding in study.findings:
        mask_HW = PAINT[finding.pathology](scene, finding, _finding_rng(seeds[4], finding))
        mask_HW = mask_HW & frame
        if mask_HW.any():
            drawn.append(DrawnFinding(finding, mask_HW, tight_box(mask_HW)))
    image_HW = expose(scene.attenuation(), exposure, canvas, noise_rng)
    return Drawing(np.where(frame, image_HW, np.float32(UNEXPOSED)), tuple(drawn))


def resampled(drawing: Drawing, side: int) -> Drawing:
    """A drawing brought to `side` x `side` pixels, its masks too; a finding that is lost on the way is not drawn."""
    image_SS = cv2.resize(drawing.image_HW, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    masks = [cv2.resize(found.mask_HW.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST).astype(bool)
             for found in drawing.findings]  # fmt: skip
    pairs = zip(drawing.findings, masks, strict=True)
    return Drawing(
        image_SS, tuple(DrawnFinding(found.finding, mask, tight_box(mask)) for found, mask in pairs if mask.any())
    )
