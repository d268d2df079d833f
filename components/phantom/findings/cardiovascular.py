"""Findings of heart and aorta: cardiomegaly, tortuous aorta, calcified aorta."""

from dataclasses import replace

import numpy as np

from components.phantom.body import Body, aortic_arch, descending_aorta, heart_outline, knob_radius, mediastinum_outline
from components.phantom.findings.places import visible
from components.phantom.raster import ellipse, moved
from components.phantom.scene import Scene, grown
from components.phantom.study import Finding


def enlarge_heart(body: Body, finding: Finding) -> Body:
    """A wider heart, mostly to the left; it stays within the chest."""
    grow = 0.06 + 0.50 * finding.severity
    return replace(
        body,
        heart_left=min(body.heart_left * (1 + grow), 0.94 * body.half_width),
        heart_right=body.heart_right * (1 + 0.55 * grow),
        heart_top=body.heart_top - 0.03 * finding.severity,
    )


def heart(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """The enlarged heart."""
    return scene.canvas.area(heart_outline(scene.body)) > 0.5


def unfold_aorta(body: Body, finding: Finding) -> Body:
    """A long aorta that bulges to both sides."""
    return replace(body, aorta_bulge=0.25 + 0.95 * finding.severity)


def aorta(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """The unfolded aorta: arch, descending aorta, and the ascending aorta at the right border."""
    canvas, body = scene.canvas, scene.body
    edge = descending_aorta(body)
    radius = knob_radius(body)
    arch = canvas.area(ellipse(aortic_arch(body), (radius, 1.12 * radius)))
    descending = canvas.area(np.concatenate([edge, edge[::-1] * (0.3, 1)]))
    widened = canvas.area(mediastinum_outline(body)) - canvas.area(mediastinum_outline(scene.normal))
    return (arch > 0.5) | (descending > 0.5) | (widened > 0.5)


def calcify_aorta(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A dense rim of the aortic knob, with flecks down the descending aorta."""
    canvas, body = scene.canvas, scene.body
    severity = finding.severity
    centre, radius = np.array(aortic_arch(body)), knob_radius(body) * 0.93
    start = rng.uniform(-1.9, -1.5)
    turn = np.linspace(start, start + (0.35 + 0.65 * severity) * np.pi * 1.1, 24)
    arc = centre + radius * np.stack([np.cos(turn), 1.12 * np.sin(turn)], 1)
    curves = [arc + rng.normal(0, 0.0012, arc.shape)]
    edge = descending_aorta(body)
    flecks = []
    for _ in range(round(5 * severity)):
        at = int(rng.integers(4, len(edge) * 2 // 3))
        fleck = moved(edge[at : at + 4], -0.006)
        flecks.append(fleck + rng.normal(0, 0.0015, 2))
    rim = canvas.lines(curves, 0.006 + 0.010 * severity, soft=0.0010)
    if flecks:
        rim = np.maximum(rim, canvas.lines(flecks, 0.007, soft=0.0010))
    patchy = np.clip(np.float32(0.85) + np.float32(0.3) * canvas.texture(rng, 0.012), np.float32(0.3), np.float32(1.4))
    change = np.float32(0.20 + 1.80 * severity) * rim * patchy
    scene.added_HW = scene.added_HW + change
    return grown(visible(change), canvas, 0.004)
