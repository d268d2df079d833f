"""The shape of one patient's chest on one radiograph, in body coordinates (see `raster`)."""

from dataclasses import dataclass

import numpy as np

from components.phantom.raster import moved, smooth_curve
from components.phantom.study import Patient

LEFT, RIGHT = 1, -1


@dataclass(frozen=True)
class Hemithorax:
    """What differs between the two sides."""

    dome: float  # v of the top of the diaphragm
    angle: float  # v of the costophrenic angle
    hilum: tuple[float, float]  # (distance from the midline, v)


@dataclass(frozen=True)
class Body:
    """Positions are (u, v) or distances from the midline."""

    half_width: float  # of the inside of the rib cage at its widest
    apex: float  # v of the tops of the lungs
    dome_flatness: float  # 0 a full dome, 1 flat
    left: Hemithorax
    right: Hemithorax
    heart_left: float  # from the midline to the left heart border
    heart_right: float
    heart_top: float
    midline: float  # shift of the mediastinum by rotation of the patient
    aorta_bulge: float  # 0 straight, 1 very tortuous
    aorta_knob: float  # radius of the aortic arch
    carina: float
    rib_start: float  # v of the first posterior rib at the spine
    rib_spacing: float
    rib_slope: float
    rib_width: float
    clavicle: float  # v of the medial ends of the clavicles
    clavicle_slope: float  # how much higher the lateral ends are
    fat: float  # thickness of the chest wall
    breast: float  # size of the breast shadows, 0 for none
    vessels: float  # strength of the lung markings

    def side(self, side: int) -> Hemithorax:
        """The left (+1) or right (-1) hemithorax."""
        return self.left if side == LEFT else self.right


def sample_body(patient: Patient, view: str, rng: np.random.Generator) -> Body:
    """The chest of a patient in a view; equal generators give equal bodies."""
    portable = view == "AP"
    stout = 0.5 * patient.habitus
    half_width = 0.385 + 0.008 * stout + rng.normal(0, 0.010)
    dome = np.clip(0.705 - 0.012 * stout + rng.normal(-0.025 if portable else 0, 0.022), 0.63, 0.77)
    drop = rng.normal(0.025, 0.008)  # the right dome stands higher
    angle = dome + rng.normal(0.118, 0.008)
    ratio = np.clip(rng.normal(0.475 if portable else 0.445, 0.018), 0.39, 0.52)  # cardiothoracic
    right_share = rng.normal(0.31, 0.02)
    rotation = rng.normal(0, 0.012 if portable else 0.006)
    hilum = rng.normal(0.40, 0.01)
    women = patient.sex == "F"
    return Body(
        half_width=half_width,
        apex=rng.normal(0.095, 0.012),
        dome_flatness=float(np.clip(rng.normal(0.15, 0.06), 0, 0.3)),
        left=Hemithorax(dome + drop, angle + rng.normal(0.008, 0.006), (0.088, hilum - 0.02)),
        right=Hemithorax(dome, angle, (0.092, hilum)),
        heart_left=2 * half_width * ratio * (1 - right_share),
        heart_right=2 * half_width * ratio * right_share,
        heart_top=rng.normal(0.40, 0.008),
        midline=rotation,
        aorta_bulge=float(np.clip(rng.normal(0.06, 0.05), 0, 0.2)),
        aorta_knob=rng.normal(0.040, 0.003),
        carina=rng.normal(0.33, 0.008),
        rib_start=rng.normal(0.108, 0.008),
        rib_spacing=rng.normal(0.0635, 0.0015),
        rib_slope=rng.normal(0.105, 0.012),
        rib_width=rng.normal(0.0205, 0.001),
        clavicle=rng.normal(0.135 if portable else 0.17, 0.012),
        clavicle_slope=rng.normal(0.02 if portable else 0.05, 0.012),
        fat=float(np.clip(0.5 + 0.28 * patient.habitus + rng.normal(0, 0.08), 0.05, 1.3)),
        breast=float(np.clip(0.75 + 0.2 * patient.habitus + rng.normal(0, 0.15), 0.25, 1.4)) if women else 0.0,
        vessels=float(np.clip(rng.normal(1, 0.12), 0.7, 1.35)),
    )


def cage_width(body: Body, v: np.ndarray | float) -> np.ndarray:
    """Distance from the midline to the inside of the rib cage at a height."""
    heights = body.apex + np.array([0, 0.03, 0.07, 0.13, 0.25, 0.38, 0.50, 0.60, 0.70, 0.85])
    shares = np.array([0.40, 0.55, 0.66, 0.775, 0.90, 0.965, 0.995, 1.0, 0.985, 0.93])
    return body.half_width * np.interp(v, heights, shares)


def lung_outline(body: Body, side: int) -> np.ndarray:
    """A lung as a closed curve [N, 2] from the apex down the ribs, over the diaphragm and up the mediastinum."""
    half = body.side(side)
    top, angle, dome = body.apex, half.angle, half.dome
    heights = np.linspace(top + 0.035, angle - 0.03, 7)
    wall = [(float(cage_width(body, v)), v) for v in heights]
    wide = float(cage_width(body, angle))
    crest = dome + body.dome_flatness * 0.3 * (angle - dome)
    knots = [
        (0.40 * body.half_width, top),
        *wall,
        (0.985 * wide, angle),
        (0.90 * wide, angle - 0.42 * (angle - crest)),
        (0.74 * wide, crest + 0.16 * (angle - crest)),
        (0.53 * wide, crest),
        (0.32 * wide, crest + 0.07 * (angle - crest)),
        (0.17 * wide, crest + 0.19 * (angle - crest)),
        (0.040, crest + 0.20 * (angle - crest)),
        (0.040, 0.5),
        (0.045, 0.30),
        (0.062, 0.20),
        (0.22 * body.half_width, top + 0.025),
    ]
    curve_N2 = smooth_curve(knots, closed=True)
    curve_N2[:, 0] *= side
    return curve_N2


def heart_outline(body: Body) -> np.ndarray:
    """The heart as a closed curve [N, 2]: right atrium, apex, left ventricle, pulmonary trunk."""
    left, right, top = body.heart_left, body.heart_right, body.heart_top
    floor = max(body.left.dome, body.right.dome) + 0.030
    tall = floor - top
    knots = [
        (-0.050, top - 0.03),
        (-0.72 * right - 0.012, top + 0.10 * tall),
        (-0.99 * right, top + 0.42 * tall),
        (-0.97 * right, top + 0.66 * tall),
        (-0.70 * right, top + 0.90 * tall),
        (0.15 * left, floor),
        (0.62 * left, floor - 0.01 * tall),
        (0.93 * left, top + 0.86 * tall),
        (0.995 * left, top + 0.72 * tall),
        (0.90 * left, top + 0.50 * tall),
        (0.70 * left, top + 0.28 * tall),
        (0.36 * left + 0.030, top + 0.08 * tall),
        (0.25 * left + 0.030, top - 0.035),
    ]
    return moved(smooth_curve(knots, closed=True), body.midline)


def aortic_arch(body: Body) -> tuple[float, float]:
    """The centre of the aortic knob."""
    return (0.040 + 0.022 * body.aorta_bulge + body.midline, 0.285 - 0.030 * body.aorta_bulge)


def knob_radius(body: Body) -> float:
    """The radius of the aortic knob, larger in a tortuous aorta."""
    return body.aorta_knob * (1 + 0.45 * body.aorta_bulge)


def descending_aorta(body: Body) -> np.ndarray:
    """The left edge of the descending aorta [N, 2], from the arch to the diaphragm."""
    u, v = aortic_arch(body)
    bulge = body.aorta_bulge
    edge = u + 0.9 * knob_radius(body)
    knots = [
        (edge, v + 0.01),
        (edge - 0.018 + 0.030 * bulge, v + 0.10),
        (0.062 + 0.085 * bulge, 0.50),
        (0.052 + 0.045 * bulge, 0.62),
        (0.040, 0.74),
    ]
    return smooth_curve(knots)


def mediastinum_outline(body: Body) -> np.ndarray:
    """The upper mediastinum as a closed curve [N, 2], from the neck to the top of the heart."""
    bulge = body.aorta_bulge
    knots = [
        (-0.048, 0.02),
        (-0.050, 0.14),
        (-0.056, 0.22),
        (-0.058 - 0.012 * bulge, 0.28),
        (-0.060 - 0.045 * bulge, 0.35),
        (-0.058 - 0.030 * bulge, body.heart_top + 0.03),
        (0.02, body.heart_top + 0.06),
        (0.065, body.heart_top + 0.02),
        (0.068, body.heart_top - 0.05),
        (0.052, 0.30),
        (0.050, 0.20),
        (0.046, 0.14),
        (0.046, 0.02),
    ]
    return moved(smooth_curve(knots, closed=True), body.midline)


def hilum(body: Body, side: int) -> tuple[float, float]:
    """The centre of a hilum."""
    distance, v = body.side(side).hilum
    return (side * distance + body.midline, v)


def heart_border(body: Body, side: int, v: float) -> float:
    """Distance from the midline to the edge of heart or mediastinum at a height, at least."""
    widest = body.heart_left + body.midline if side == LEFT else body.heart_right - body.midline
    return float(np.interp(v, [0.2, body.heart_top, body.heart_top + 0.2], [0.07, 0.085, max(widest, 0.09)]))
