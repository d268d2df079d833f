"""Rounded and streaky shadows: nodule, mass, large hilum, apical scar, hiatal hernia."""

import numpy as np

from components.phantom.body import cage_width
from components.phantom.body import hilum as hilum_of
from components.phantom.findings.places import sides, spot, visible
from components.phantom.raster import ellipse, smooth_curve
from components.phantom.scene import Scene
from components.phantom.study import Finding


def _ball(
    scene: Scene, centre: tuple[float, float], radius: float, roughness: float, rng: np.random.Generator
) -> np.ndarray:
    """The relative thickness [H, W] of a ball with a lobulated edge."""
    knots = ellipse(centre, (radius, radius * rng.uniform(0.88, 1.0)), rng.uniform(0, np.pi), samples=12)
    knots = np.asarray(centre) + (knots - centre) * (1 + rng.normal(0, roughness, (12, 1)))
    edge = scene.canvas.area(smooth_curve(knots, closed=True), soft=0.0012 + 0.04 * radius)
    dome = scene.canvas.blob(centre, (0.9 * radius, 0.9 * radius))
    return edge * (np.float32(0.45) + np.float32(0.55) * dome)


def nodule(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A round, well-defined shadow of about 1 to 4 cm."""
    radius = 0.017 + 0.027 * finding.severity
    centre = spot(scene.body, finding.anatomy, radius, rng)
    change = np.float32(0.20 + 1.10 * finding.severity) * _ball(scene, centre, radius, 0.04, rng)
    scene.added_HW = scene.added_HW + change
    return visible(change, 0.2)


def mass(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A large lobulated shadow with spicules."""
    severity = finding.severity
    radius = 0.042 + 0.058 * severity
    centre = spot(scene.body, finding.anatomy, 0.8 * radius, rng, spread=0.04)
    change = np.float32(0.24 + 1.16 * severity) * _ball(scene, centre, radius, 0.06, rng)
    turns = np.linspace(0, 2 * np.pi, 14, endpoint=False) + rng.normal(0, 0.12, 14)
    headings = np.stack([np.cos(turns), np.sin(turns)], 1)[:, None]
    reach = np.stack([np.full(14, 0.85), rng.uniform(1.1, 1.4, 14)], 1)[:, :, None]
    rays = list(np.array(centre) + radius * reach * headings)
    spicules = scene.canvas.lines(rays, 0.0034, soft=0.0016) * scene.both_lungs
    change = np.maximum(change, np.float32(0.08 + 0.22 * severity) * spicules)
    scene.added_HW = scene.added_HW + change
    return visible(change, 0.2)


def hilum(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A large, lobulated hilum."""
    (side,) = sides(finding.anatomy)
    severity = finding.severity
    u, v = hilum_of(scene.body, side)
    change = np.zeros_like(scene.air_HW)
    size = 0.026 + 0.036 * severity
    for du, dv, scale in ((0.012, -0.6, 0.8), (0.028, 0.2, 1.0), (0.018, 1.1, 0.85)):
        centre = (u + side * (du + 0.5 * size) + rng.normal(0, 0.004), v + dv * size + rng.normal(0, 0.004))
        change = np.maximum(change, _ball(scene, centre, scale * size, 0.06, rng))
    change = np.float32(0.16 + 0.94 * severity) * scene.canvas.blur(change, 0.003)
    scene.added_HW = scene.added_HW + change
    return visible(change, 0.25)


def scar(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Streaks that fan out below a thick cap of the apex."""
    canvas, body = scene.canvas, scene.body
    severity = finding.severity
    streaks, caps = [], np.zeros_like(scene.air_HW)
    for side in sides(finding.anatomy):
        outer = float(cage_width(body, body.apex + 0.04))
        top = np.array([side * 0.60 * outer, body.apex + 0.012])
        for _ in range(6 + round(14 * severity)):
            start = top + rng.normal(0, (0.040, 0.016))
            heading = np.array([rng.normal(0, 0.7), rng.uniform(0.3, 1.0)])
            end = start + (0.030 + 0.060 * severity) * rng.uniform(0.5, 1.2) * heading
            streaks.append(smooth_curve([start, 0.5 * (start + end) + rng.normal(0, 0.006, 2), end], samples=4))
        caps += canvas.blob((side * 0.62 * outer, body.apex + 0.010), (0.070, 0.014 + 0.044 * severity))
    lungs = scene.both_lungs
    lines = canvas.lines(streaks, 0.0034 + 0.0020 * severity, soft=0.0020)
    uneven = np.clip(1 + np.float32(0.25) * canvas.texture(rng, 0.016), 0, 2)
    share = np.float32(0.22 + 0.50 * severity) * lines + np.float32(0.15 + 0.80 * severity) * caps * uneven
    share = np.clip(share, 0, 1) * lungs
    change = share * scene.air_HW
    scene.fill(share)
    return visible(change, 0.2)


def hernia(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A hiatal hernia: a rounded pouch behind the heart, with air above a fluid level."""
    canvas, body = scene.canvas, scene.body
    severity = finding.severity
    radius = 0.048 + 0.050 * severity
    centre = (body.midline + 0.035 + rng.normal(0, 0.012), body.left.dome - 0.55 * radius)
    pouch = ellipse(centre, (radius * 1.15, radius), rng.normal(0, 0.08))
    inside = canvas.area(pouch, soft=0.0025)
    level = centre[1] + rng.uniform(0.0, 0.3) * radius
    above = inside * np.clip((np.float32(level) - canvas.v_HW) / np.float32(0.003) + 0.5, 0, 1)
    wall = canvas.lines([pouch], 0.006, soft=0.0012, closed=True)
    strength = np.float32(0.18 + 0.62 * severity)
    air = canvas.area(ellipse(centre, (radius * 1.02, radius * 0.87)), soft=0.0035) * above
    scene.added_HW = scene.added_HW + strength * (
        np.float32(0.42) * inside + np.float32(0.16) * wall - np.float32(1.35) * air
    )
    return inside > 0.4
