"""A chest as layers of attenuation, before findings are painted on it and before it is exposed.

Attenuation is in units of the optical path, so that the transmitted share is exp(-attenuation): about 0.2 for a
centimetre of soft tissue, and inflated lung is a quarter as dense.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from components.phantom import body as shape
from components.phantom import skeleton
from components.phantom.body import LEFT, RIGHT, Body
from components.phantom.raster import Canvas, ellipse, smooth_curve

BRANCHINGS = (  # width, attenuation and length of the vessels of each generation
    (0.0110, 1.00, 0.055),
    (0.0078, 0.72, 0.055),
    (0.0055, 0.52, 0.050),
    (0.0038, 0.38, 0.042),
    (0.0027, 0.28, 0.034),
)
ROOTS = 9
VESSEL_ATTENUATION = 0.42


@dataclass
class Scene:
    """The layers [H, W], float32: findings change them, `attenuation` adds them up.

    `air_HW` is the attenuation that the lung's air takes away, `filled_HW` the share of it that a finding fills with
    tissue or fluid (negative where there is nothing but air), `vessel_HW` the lung markings, `tissue_HW` soft tissue
    and bone, and `added_HW` what findings add on top, such as metal.
    """

    canvas: Canvas
    body: Body
    normal: Body  # the same body without its findings
    tissue_HW: np.ndarray
    air_HW: np.ndarray
    vessel_HW: np.ndarray
    filled_HW: np.ndarray
    added_HW: np.ndarray

    @cached_property
    def lungs(self) -> dict[int, np.ndarray]:
        """Each lung by its side: 1 inside its outline, 0 outside [H, W]."""
        return {side: self.canvas.area(shape.lung_outline(self.body, side), soft=0.0015) for side in (LEFT, RIGHT)}

    @property
    def both_lungs(self) -> np.ndarray:
        """Both lungs: 1 inside, 0 outside [H, W]."""
        return np.maximum(self.lungs[LEFT], self.lungs[RIGHT])

    def fill(self, share_HW: np.ndarray) -> None:
        """Fill a share of what air is left."""
        self.filled_HW = 1 - (1 - self.filled_HW) * (1 - share_HW)

    def attenuation(self) -> np.ndarray:
        """The optical path through everything [H, W]."""
        open_HW = 1 - self.filled_HW
        markings = self.vessel_HW * np.clip(open_HW, 0, 1)
        return np.maximum(self.tissue_HW - self.air_HW * open_HW + markings + self.added_HW, 0.02)


def _silhouette(body: Body) -> np.ndarray:
    """The outline of neck, shoulders, raised arms and trunk [N, 2]."""
    waist = body.half_width + 0.045 + 0.035 * body.fat
    neck = 0.085 + 0.012 * body.fat
    left = [
        (neck, -0.10),
        (neck + 0.004, 0.005),
        (neck + 0.055, 0.040),
        (0.26, 0.068),
        (0.40, 0.085),
        (0.50, 0.13),
        (0.58, 0.30),
        (0.55, 0.42),
        (waist + 0.015, 0.40),
        (waist, 0.50),
        (waist, 0.75),
        (waist - 0.01, 1.10),
    ]
    return smooth_curve(left + [(-u, v) for u, v in reversed(left)], closed=True)


def _trunk(canvas: Canvas, body: Body) -> np.ndarray:
    """Attenuation of soft tissue [H, W] as if it filled the image and held no air."""
    u, v = canvas.u_HW, canvas.v_HW
    half = np.float32(body.half_width + 0.10 + 0.035 * body.fat)
    wall = np.clip(1 - np.square(u / half), np.float32(0.18), 1)
    depth = np.float32(3.55 + 0.30 * body.fat) * np.power(wall, np.float32(0.26))
    low = np.clip((v - np.float32(body.right.dome + 0.01)) / np.float32(0.16), 0, 1)
    depth *= np.float32(0.72) + np.float32(0.28) * np.clip((v + np.float32(0.03)) / np.float32(0.16), 0, 1)
    return depth + np.float32(0.25) * low


def _chest_wall(canvas: Canvas, body: Body) -> np.ndarray:
    """Attenuation of the breasts: crescents over the lower lungs; of the pectoral muscles in men."""
    if not body.breast:
        muscles = [ellipse((side * 0.25, 0.27), (0.15, 0.13), side * 0.35) for side in (LEFT, RIGHT)]
        return np.float32(0.16) * canvas.area(*muscles, soft=0.022)
    size = 0.135 + 0.03 * body.breast
    shapes = [ellipse((side * 0.235, 0.575 + 0.02 * body.breast), (size, size * 0.92)) for side in (LEFT, RIGHT)]
    image = canvas.area(*shapes, soft=0.013)
    droop = np.clip((canvas.v_HW - np.float32(0.44)) / np.float32(0.22), 0, 1)
    return np.float32(0.40 * body.breast) * image * droop


def _stomach_bubble(canvas: Canvas, body: Body, lungs_HW: np.ndarray) -> np.ndarray:
    """The attenuation that the air in the stomach takes away, under the left diaphragm."""
    bubble = ellipse((0.155, body.left.dome + 0.065), (0.062, 0.034), -0.15)
    return np.float32(0.55) * canvas.area(bubble, soft=0.005) * (1 - lungs_HW)


def _airways(canvas: Canvas, body: Body) -> np.ndarray:
    """The attenuation that the air of trachea and main bronchi takes away."""
    u, v = body.midline, body.carina
    trachea = [(u * 0.5, -0.02), (u * 0.8, 0.12), (u - 0.006, 0.24), (u - 0.004, v)]
    right = [(u - 0.006, v - 0.008), (u - 0.030, v + 0.030), shape.hilum(body, RIGHT)]
    left = [(u + 0.002, v - 0.004), (u + 0.035, v + 0.026), shape.hilum(body, LEFT)]
    tubes_HW = np.zeros((canvas.height, canvas.width), dtype=np.uint8)
    canvas.add_lines(tubes_HW, [right, left], 0.021, 0.6)
    canvas.add_lines(tubes_HW, [trachea], 0.034, 1.0)
    return np.float32(0.42) * canvas.as_float(tubes_HW, 0.0035)


def _branches(body: Body, side: int, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """The curves of the lung vessels of one side, a list a generation, each vessel splitting into two."""
    centre = np.array(shape.hilum(body, side))
    # Angles from straight up (-pi/2) over lateral (0) to straight down (pi/2).
    angles = np.linspace(-1.35, 1.42, ROOTS) + rng.normal(0, 0.10, ROOTS)
    starts = np.tile(centre, (ROOTS, 1)) + rng.normal(0, 0.008, (ROOTS, 2))
    generations = []
    for _, _, reach in BRANCHINGS:
        count = len(angles)
        length = reach * rng.uniform(0.75, 1.3, count)
        bend = rng.normal(0, 0.22, count)
        middle = starts + 0.5 * length[:, None] * _heading(angles, side)
        ends = middle + 0.5 * length[:, None] * _heading(angles + bend, side)
        generations.append(list(np.stack([starts, middle, ends], 1)))
        spread = rng.uniform(0.18, 0.55, count)
        angles = np.concatenate([angles + bend + spread, angles + bend - spread * rng.uniform(0.5, 1.0, count)])
        starts = np.concatenate([ends, ends])
    return generations


def _heading(angles: np.ndarray, side: int) -> np.ndarray:
    """Unit vectors [N, 2] of angles from lateral, down positive."""
    return np.stack([side * np.cos(angles), np.sin(angles)], 1)


def _vessels(canvas: Canvas, body: Body, rng: np.random.Generator) -> np.ndarray:
    """Attenuation of the hila and the lung markings."""
    image_HW = np.zeros((canvas.height, canvas.width), dtype=np.uint8)
    trees = [_branches(body, side, rng) for side in (LEFT, RIGHT)]
    for generation in reversed(range(len(BRANCHINGS))):
        width, value, _ = BRANCHINGS[generation]
        canvas.add_lines(image_HW, [curve for tree in trees for curve in tree[generation]], width, value)
    tree = np.float32(VESSEL_ATTENUATION) * canvas.as_float(image_HW, 0.0016)
    hila = np.zeros_like(tree)
    for side in (LEFT, RIGHT):
        u, v = shape.hilum(body, side)
        hila += canvas.blob((u, v), (0.020, 0.036), side * -0.25)
        hila += np.float32(0.6) * canvas.blob((u + side * 0.012, v + 0.055), (0.013, 0.040), side * -0.30)
    grain = canvas.texture(rng, 0.012) + canvas.texture(rng, 0.028)
    return np.float32(body.vessels) * (tree + np.float32(0.34) * hila + np.float32(0.022) * grain)


def _gullet(body: Body) -> np.ndarray:
    """The lower mediastinum behind the heart [N, 2], down to the diaphragm."""
    floor = max(body.left.angle, body.right.angle)
    return np.array([(-0.062, 0.5), (0.066, 0.5), (0.075, floor), (-0.070, floor)])


def _mediastinum(canvas: Canvas, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """The share of the lungs' air that heart and great vessels take up, and their attenuation beyond that."""
    heart = canvas.area(shape.heart_outline(body))
    knob = ellipse(shape.aortic_arch(body), (shape.knob_radius(body), 1.12 * shape.knob_radius(body)))
    upper = canvas.area(shape.mediastinum_outline(body), _gullet(body))
    arch = canvas.area(knob)
    edge = shape.descending_aorta(body)
    aorta = canvas.area(np.concatenate([edge, edge[::-1] * (0, 1)]))
    share = np.maximum(np.maximum(np.float32(0.96) * upper, np.float32(0.95) * arch), np.float32(0.89) * heart)
    behind = np.float32(0.55 + 0.35 * min(1.0, body.aorta_bulge)) * aorta
    share = 1 - (1 - share) * (1 - behind)
    thick = canvas.blur(heart, 0.035)
    dense = np.float32(0.16) * (heart * thick + arch) + np.float32(0.12) * aorta
    return canvas.blur(share, 0.0032), canvas.blur(dense, 0.0032)


def build_scene(canvas: Canvas, body: Body, normal: Body, rng: np.random.Generator) -> Scene:
    """The chest of a body without what findings paint on it; equal generators give equal scenes."""
    blank = np.zeros((canvas.height, canvas.width), dtype=np.float32)
    scene = Scene(canvas, body, normal, blank, blank, blank, blank, blank)
    lungs = scene.both_lungs
    taken, dense = _mediastinum(canvas, body)
    depth = np.float32(0.42) + np.float32(0.95) * np.square(canvas.blur(lungs, 0.055))
    scene.air_HW = np.float32(1.62) * lungs * np.minimum(depth, np.float32(1.15)) * (1 - taken)
    scene.vessel_HW = _vessels(canvas, body, rng) * lungs * (1 - np.float32(0.75) * taken)
    bones = skeleton.ribs(canvas, body) * (np.float32(0.5) + np.float32(0.5) * lungs * (1 - taken))
    bones += skeleton.clavicles(canvas, body) + skeleton.scapulae(canvas, body) + skeleton.spine(canvas, body)
    bones = canvas.blur(bones, 0.0018)
    soft = canvas.from_coarse(_trunk(canvas.coarse, body) + _chest_wall(canvas.coarse, body))
    soft *= canvas.area(_silhouette(body), soft=0.010)
    tissue = soft + bones + dense - _airways(canvas, body) - _stomach_bubble(canvas, body, lungs)
    scene.tissue_HW = tissue.astype(np.float32)
    return scene


def grown(mask_HW: np.ndarray, canvas: Canvas, by: float) -> np.ndarray:
    """A bool mask grown by a distance in body units."""
    size = 2 * max(1, round(by * canvas.unit)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.dilate(mask_HW.astype(np.uint8), kernel).astype(bool)
