"""Fractures of ribs and clavicles."""

import numpy as np

from components.phantom.body import LEFT, RIGHT
from components.phantom.findings.places import visible
from components.phantom.raster import ellipse
from components.phantom.scene import Scene
from components.phantom.skeleton import clavicle, posterior_rib
from components.phantom.study import Finding


def fracture(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A gap in the bone, displaced ends and, in ribs, callus around them."""
    side = LEFT if rng.random() < 0.5 else RIGHT
    severity = finding.severity
    if finding.anatomy == "clavicle":
        curve, places, width = clavicle(scene.body, side), [(0, rng.uniform(0.50, 0.72))], 0.020
    else:
        first = int(rng.integers(3, 6))
        places = [(first + n, rng.uniform(0.62, 0.82)) for n in range(1 + round(2.4 * severity))]
        width = scene.body.rib_width
    change = np.zeros_like(scene.air_HW)
    for number, along in places:
        if finding.anatomy == "rib":
            curve = posterior_rib(scene.body, side, number)
        at = round(along * (len(curve) - 2))
        change += _broken(scene, curve[at], curve[at + 1] - curve[at], width, severity, rng)
    scene.added_HW = scene.added_HW + change
    return visible(scene.canvas.blur(np.abs(change), 0.004), 0.2)


def _broken(
    scene: Scene, point: np.ndarray, heading: np.ndarray, width: float, severity: float, rng: np.random.Generator
) -> np.ndarray:
    """The change of attenuation [H, W] of one break."""
    along = heading / np.linalg.norm(heading)
    across = np.array([-along[1], along[0]])
    step = (0.004 + 0.018 * severity) * rng.choice([-1, 1])
    gap = [
        point + s * 0.9 * width * across + t * along for s, t in ((-1, -0.004), (1, -0.002), (1, 0.006), (-1, 0.004))
    ]
    ends = [
        [point + 0.5 * s * width * across + sign * 0.5 * step * across + sign * r * along for r in (0.003, 0.030)]
        for s in (-1, 1)
        for sign in (-1, 1)
    ]
    callus = ellipse(tuple(point), (0.015 + 0.018 * severity, 0.7 * width + 0.014 * severity), np.arctan2(*along[::-1]))
    dark = scene.canvas.area(gap, soft=0.0010)
    bright = scene.canvas.lines(ends, 0.0050, soft=0.0008)
    lump = scene.canvas.area(callus, soft=0.0030)
    strength = np.float32(0.25 + 1.35 * severity)
    return strength * (np.float32(0.60) * bright + np.float32(0.60) * lump - np.float32(0.85) * dark)
