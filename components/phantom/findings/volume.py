"""Findings of the volume of the lungs: atelectasis, elevated diaphragm, hyperinflation."""

from dataclasses import replace

import numpy as np

from components.phantom.body import LEFT, RIGHT, Body, Hemithorax, cage_width, heart_border, lung_outline
from components.phantom.findings.places import sides, visible, zone_height
from components.phantom.raster import ribbon, smooth_curve
from components.phantom.scene import Scene
from components.phantom.study import Finding


def _with_side(body: Body, side: int, half: Hemithorax) -> Body:
    return replace(body, left=half) if side == LEFT else replace(body, right=half)


def _raised(body: Body, side: int, dome: float, angle: float) -> Body:
    """The body with one diaphragm higher by so much at its dome and at its angle."""
    half = body.side(side)
    return _with_side(body, side, replace(half, dome=half.dome - dome, angle=half.angle - angle))


def lose_volume(body: Body, finding: Finding) -> Body:
    """Atelectasis draws the diaphragm up a little."""
    for side in sides(finding.anatomy):
        body = _raised(body, side, 0.035 * finding.severity, 0.015 * finding.severity)
    return body


def bands(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Atelectasis: a few dense, nearly level bands above the diaphragm, the lung crowded around them."""
    canvas, body = scene.canvas, scene.body
    severity = finding.severity
    shapes, crowded = [], np.zeros_like(scene.air_HW)
    for side in sides(finding.anatomy):
        base = zone_height(body, side, "lower") + 0.035
        inner = heart_border(body, side, base) if side == RIGHT else heart_border(body, side, base) - 0.04
        outer = float(cage_width(body, base))
        for number in range(1 + round(2.2 * severity)):
            v = base - 0.040 * number + rng.normal(0, 0.006)
            length = (outer - inner) * (0.50 + 0.40 * severity) * rng.uniform(0.8, 1.05)
            start = inner + rng.uniform(0.05, 0.95) * max(0.0, outer - inner - length)
            slope = rng.normal(0.06, 0.09)
            knots = [
                (side * (start + t * length), v + slope * (t - 0.5) * length * 2 + rng.normal(0, 0.002))
                for t in (0, 0.35, 0.7, 1)
            ]
            curve = smooth_curve(knots)
            profile = np.sin(np.linspace(0.25, np.pi - 0.25, len(curve)))
            upper, lower = ribbon(curve, (0.007 + 0.011 * severity) * rng.uniform(0.8, 1.2) * profile)
            shapes.append(np.concatenate([upper, lower[::-1]]))
        crowded += canvas.blob((side * 0.5 * (inner + outer), base + 0.01), (0.09, 0.035))
    lungs = scene.both_lungs
    share = np.float32(0.22 + 0.62 * severity) * canvas.area(*shapes, soft=0.0030) * lungs
    veil = np.float32(0.03 + 0.14 * severity) * np.minimum(crowded, 1) * lungs
    change = np.maximum(share, veil)
    scene.fill(change)
    return visible(change, 0.15)


def elevate_diaphragm(body: Body, finding: Finding) -> Body:
    """One dome stands higher than it should."""
    (side,) = sides(finding.anatomy)
    return _raised(body, side, 0.035 + 0.145 * finding.severity, 0.01 + 0.045 * finding.severity)


def elevated(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """The part of the lung that the elevated diaphragm has taken."""
    (side,) = sides(finding.anatomy)
    before = scene.canvas.area(lung_outline(scene.normal, side))
    below = scene.canvas.v_HW > np.float32(scene.body.side(side).dome - 0.01)
    return (before > 0.5) & (scene.lungs[side] < 0.5) & below


def hyperinflate(body: Body, finding: Finding) -> Body:
    """Large lungs: low flat domes, a wide cage, a narrow heart."""
    severity = finding.severity
    low = 0.015 + 0.065 * severity
    sunk = {
        side: replace(body.side(side), dome=body.side(side).dome + low, angle=body.side(side).angle + 0.45 * low)
        for side in (LEFT, RIGHT)
    }
    return replace(
        body,
        left=sunk[LEFT],
        right=sunk[RIGHT],
        dome_flatness=min(1.0, body.dome_flatness + 0.15 + 1.3 * severity),
        apex=body.apex - 0.012 * severity,
        heart_left=body.heart_left * (1 - 0.16 * severity),
        heart_right=body.heart_right * (1 - 0.16 * severity),
        vessels=body.vessels * (1 - 0.28 * severity),
    )


def hyperinflated(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """More air than normal darkens both lungs."""
    lungs = scene.both_lungs
    scene.filled_HW = scene.filled_HW - np.float32(0.03 + 0.14 * finding.severity) * lungs * (1 - scene.filled_HW)
    return lungs > 0.5
