"""Bones: ribs, clavicles, scapulae and spine as curves, and as attenuation with hard edges."""

from collections.abc import Sequence

import numpy as np

from components.phantom.body import LEFT, RIGHT, Body, cage_width
from components.phantom.raster import Canvas, ellipse, moved, ribbon, smooth_curve

POSTERIOR_RIBS = 10
ANTERIOR_RIBS = 7


def _lateral_end(body: Body, number: int) -> float:
    """The height at which a rib turns round at the side of the chest."""
    return body.rib_start + number * body.rib_spacing + body.rib_slope * min(1.0, 0.62 + 0.075 * number)


def posterior_rib(body: Body, side: int, number: int) -> np.ndarray:
    """The midline of a posterior rib [N, 2] from the spine outwards; numbers from 0."""
    t = np.linspace(0, 1, 22)
    end = _lateral_end(body, number)
    start = body.rib_start + number * body.rib_spacing
    reach = float(cage_width(body, end)) + 0.004
    u = 0.038 + (reach - 0.038) * np.sin(t * np.pi / 2) ** 0.92
    v = start - 0.010 * np.sin(np.pi * np.minimum(1, 2 * t)) + (end - start) * (1 - np.cos(t * np.pi / 2)) ** 0.9
    return np.stack([side * u, v], 1)


def anterior_rib(body: Body, side: int, number: int) -> np.ndarray:
    """The midline of an anterior rib [N, 2] from the side of the chest to its cartilage; numbers from 0."""
    t = np.linspace(0, 1, 16)
    start = _lateral_end(body, number)
    reach = float(cage_width(body, start)) + 0.004
    inner = 0.13 + 0.012 * number
    drop = 0.060 + 0.016 * number
    u = reach - (reach - inner) * (1 - np.cos(t * np.pi / 2)) ** 0.85
    v = start + drop * np.sin(t * np.pi / 2)
    return np.stack([side * u + body.midline * t, v], 1)


def clavicle(body: Body, side: int) -> np.ndarray:
    """The midline of a clavicle [N, 2] from its medial end outwards."""
    v, rise = body.clavicle, body.clavicle_slope
    knots = [(0.040, v + 0.008), (0.11, v - 0.004), (0.20, v - 0.15 * rise), (0.29, v - 0.75 * rise), (0.40, v - rise)]
    return smooth_curve([(side * u + body.midline * 1.6, w) for u, w in knots])


def _tubes(
    canvas: Canvas, tubes: Sequence[tuple[np.ndarray, float | np.ndarray]], marrow: float, cortex: float
) -> np.ndarray:
    """Attenuation of long bones: a filled band with a denser rim."""
    edges = [ribbon(curve, width) for curve, width in tubes]
    inside = canvas.area(*(np.concatenate([upper, lower[::-1]]) for upper, lower in edges))
    rims = canvas.lines([edge for pair in edges for edge in pair], 0.0036)
    return np.float32(marrow) * inside + np.float32(cortex) * rims


def ribs(canvas: Canvas, body: Body) -> np.ndarray:
    """Attenuation of the ribs [H, W]."""
    both = (LEFT, RIGHT)
    back = [
        (posterior_rib(body, side, n), body.rib_width * (0.82 + 0.025 * n))
        for side in both
        for n in range(POSTERIOR_RIBS)
    ]
    front = [
        (anterior_rib(body, side, n), body.rib_width * np.linspace(1.0, 1.25, 16))
        for side in both
        for n in range(1, ANTERIOR_RIBS)
    ]
    return _tubes(canvas, back, 0.25, 0.20) + _tubes(canvas, front, 0.15, 0.10)


def clavicles(canvas: Canvas, body: Body) -> np.ndarray:
    """Attenuation of the clavicles [H, W]."""
    bones = []
    for side in (LEFT, RIGHT):
        curve = clavicle(body, side)
        bones.append((curve, np.interp(np.linspace(0, 1, len(curve)), [0, 0.25, 0.6, 1], [0.030, 0.020, 0.019, 0.024])))
    return _tubes(canvas, bones, 0.34, 0.26)


def scapulae(canvas: Canvas, body: Body) -> np.ndarray:
    """Attenuation of the scapulae and the humeral heads [H, W], at the upper outer edge of the chest."""
    plates, rims, heads = [], [], []
    for side in (LEFT, RIGHT):
        outer = body.half_width
        knots = [
            (outer * 0.90, 0.135),
            (outer * 0.93, 0.23),
            (outer * 0.98, 0.33),
            (outer * 1.05, 0.42),
            (outer * 1.10, 0.36),
            (outer * 1.16, 0.26),
            (outer * 1.16, 0.16),
            (outer * 1.08, 0.105),
        ]
        curve = smooth_curve([(side * u, v) for u, v in knots], closed=True)
        plates.append(curve)
        rims.append(curve)
        joint = outer * 1.24
        shaft = [
            (joint - 0.045, 0.13),
            (joint, 0.085),
            (joint + 0.055, 0.12),
            (joint + 0.12, 0.40),
            (joint + 0.05, 0.40),
        ]
        heads.append(smooth_curve([(side * u, v) for u, v in shaft], closed=True))
    blade = np.float32(0.13) * canvas.area(*plates)
    rim = np.float32(0.20) * canvas.lines(rims, 0.005, closed=True)
    return blade + rim + np.float32(0.40) * canvas.area(*heads)


def spine(canvas: Canvas, body: Body) -> np.ndarray:
    """Attenuation of the vertebrae [H, W]: bodies, end plates, pedicles and spinous processes."""
    count = 19
    step = body.rib_spacing * 0.98
    centres = body.rib_start - 0.16 + step * np.arange(count)
    widths = np.linspace(0.034, 0.047, count)
    eye, spike = ellipse((0, 0), (0.006, 0.010), samples=16), ellipse((0, 0), (0.006, 0.016), samples=16)
    bodies, plates, pedicles, processes = [], [], [], []
    for v, half in zip(centres, widths, strict=True):
        tall = 0.42 * step
        waist = 0.90 * half
        knots = [(-half, v - tall), (half, v - tall), (waist, v), (half, v + tall), (-half, v + tall), (-waist, v)]
        bodies.append(smooth_curve(knots, samples=3, closed=True))
        plates += [[(-half, v - tall), (half, v - tall)], [(-half, v + tall), (half, v + tall)]]
        pedicles += [moved(eye, sign * 0.62 * half, v - 0.12 * step) for sign in (-1, 1)]
        processes.append(moved(spike, -0.4 * body.midline, v + 0.30 * step))
    column = np.float32(0.36) * canvas.area(*bodies)
    column += np.float32(0.17) * canvas.lines(plates, 0.004)
    column += np.float32(0.16) * canvas.lines(pedicles, 0.003, closed=True)
    return column + np.float32(0.20) * canvas.area(*processes)
