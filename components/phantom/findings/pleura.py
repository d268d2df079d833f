"""Findings of the pleural space: effusion, pneumothorax, thickening."""

import numpy as np

from components.phantom.body import cage_width, hilum, lung_outline
from components.phantom.findings.places import sides, visible
from components.phantom.raster import moved, ribbon, smooth_curve
from components.phantom.scene import Scene
from components.phantom.study import Finding


def effusion(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Fluid from the costophrenic angle upwards, higher at the side than in the middle: a meniscus."""
    (side,) = sides(finding.anatomy)
    body, canvas = scene.body, scene.canvas
    half = body.side(side)
    height = 0.05 + 0.40 * finding.severity
    outwards = np.clip(side * canvas.u_HW / np.float32(body.half_width), 0, 1.05)
    slope = 0.42 + rng.uniform(-0.06, 0.06)
    level = np.float32(half.angle - (1 - slope) * height) - np.float32(slope * height) * np.power(outwards, 3)
    fringe = np.float32(0.006 + 0.016 * finding.severity)
    depth = np.clip((canvas.v_HW - level) / fringe, -8, 8)
    share = np.float32(0.98) / (1 + np.exp(-depth)) * (side * canvas.u_HW > 0)
    change = share * scene.air_HW * (1 - scene.filled_HW)
    scene.fill(share)
    # Fluid behind the lung veils what lies above the meniscus.
    scene.fill(np.float32(0.10 * finding.severity) * np.exp(-np.square(depth * np.float32(0.25))) * scene.lungs[side])
    return visible(change, 0.15)


def pneumothorax(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Air outside the lung: the lung falls in towards its hilum and shows its edge; nothing is drawn beyond it."""
    (side,) = sides(finding.anatomy)
    body, canvas = scene.body, scene.canvas
    centre = moved(np.array(hilum(body, side)), 0, 0.06)
    outline = lung_outline(body, side)
    fall = (0.045 + 0.50 * finding.severity) * rng.uniform(0.95, 1.05)
    down = np.clip((outline[:, 1] - body.apex) / (body.side(side).angle - body.apex), 0, 1)
    out = np.clip((side * outline[:, 0] - 0.03) / 0.15, 0, 1)
    share = fall * (1 - 0.72 * down**3) * out
    edge = outline + (centre - outline) * share[:, None]
    lung = canvas.area(edge, soft=0.0012)
    space = scene.lungs[side] * (1 - lung)
    scene.vessel_HW = scene.vessel_HW * (1 - space)
    scene.filled_HW = np.where(space > 0.5, np.float32(-0.30 - 0.08 * finding.severity), scene.filled_HW)
    collapsed = np.float32(0.16 * finding.severity) * lung * scene.lungs[side]
    scene.fill(collapsed)
    shown = np.flatnonzero((share > 0.35 * fall) & (out > 0.5))
    runs = np.split(shown, np.flatnonzero(np.diff(shown) > 1) + 1)
    line = canvas.lines([edge[run] for run in runs], 0.0042, soft=0.0008) * scene.lungs[side]
    scene.added_HW = scene.added_HW + np.float32(0.10 + 0.16 * finding.severity) * line
    return (space > 0.5) | (line > 0.3)


def thicken(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Thick, uneven pleura along the ribs."""
    (side,) = sides(finding.anatomy)
    body = scene.body
    top = body.apex + rng.uniform(0.10, 0.20)
    bottom = body.side(side).angle - rng.uniform(0.03, 0.08)
    heights = np.linspace(top, bottom, 7)
    thick = (0.010 + 0.044 * finding.severity) * np.clip(rng.normal(1, 0.22, 7), 0.6, 1.5)
    thick *= np.sin(np.linspace(0.15, np.pi - 0.15, 7)) ** 0.5
    walls = np.stack([side * (cage_width(body, heights) + 0.01), heights], 1)
    outer = smooth_curve(walls)
    inner = smooth_curve(walls - np.stack([side * (thick + 0.01), np.zeros(7)], 1))
    band = scene.canvas.area(np.concatenate([outer, inner[::-1]]), soft=0.0035) * scene.lungs[side]
    change = np.float32(0.45 + 0.50 * finding.severity) * band
    lost = change * scene.air_HW
    scene.fill(change)
    rim = scene.canvas.lines([ribbon(inner, 0.0)[0]], 0.005, soft=0.001) * scene.lungs[side]
    scene.added_HW = scene.added_HW + np.float32(0.05 + 0.15 * finding.severity) * rim
    return visible(lost, 0.25)
