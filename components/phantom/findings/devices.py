"""Devices: pacemaker, central catheters, tubes, sternal wires, clips. Metal and plastic add attenuation."""

import numpy as np

from components.phantom.body import LEFT, RIGHT, Body, hilum
from components.phantom.findings.places import visible
from components.phantom.raster import ellipse, moved, smooth_curve
from components.phantom.scene import Scene, grown
from components.phantom.study import Finding

_CATHETER_TIPS = {"svc": -0.055, "cavoatrial_junction": 0.015, "right_atrium": 0.095}


def _added(scene: Scene, change_HW: np.ndarray, margin: float = 0.004) -> np.ndarray:
    """Add a device to the scene and say where it is."""
    scene.added_HW = scene.added_HW + change_HW
    return grown(visible(change_HW), scene.canvas, margin)


def pacemaker(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A generator below a clavicle, with a lead to the right ventricle and often one to the atrium."""
    body, canvas, severity = scene.body, scene.canvas, finding.severity
    side = LEFT if rng.random() < 0.8 else RIGHT
    centre = (side * (0.255 + rng.normal(0, 0.012)), 0.235 + rng.normal(0, 0.012))
    size = 0.036 + 0.018 * severity
    can = ellipse(centre, (size, 0.82 * size), side * rng.uniform(0.2, 0.6))
    vein = [(side * 0.16, 0.165), (side * 0.065 + body.midline, 0.185)]
    cava = [(body.midline - 0.050, 0.27), (body.midline - 0.055, 0.38)]
    ventricle = [
        (body.midline - 0.060, 0.50),
        (body.midline + 0.01, 0.585),
        (body.midline + 0.5 * body.heart_left, 0.64),
    ]
    atrium = [(body.midline - 0.062, 0.48), (body.midline - 0.085, 0.52), (body.midline - 0.072, 0.475)]
    leads = [smooth_curve([centre, *vein, *cava, *ventricle])]
    if rng.random() < 0.5:
        leads.append(moved(smooth_curve([centre, *vein, *cava, *atrium]), 0.004, 0.003))
    metal = canvas.area(can, soft=0.0012)
    wire = canvas.lines(leads, 0.0055, soft=0.0006)
    change = np.float32(0.5 + 2.0 * severity) * metal + np.float32(0.22 + 0.75 * severity) * wire * (1 - metal)
    scene.added_HW = scene.added_HW + change
    return grown((metal > 0.3) | (wire > 0.3), canvas, 0.004)


def _central_tip(body: Body, anatomy: str) -> list[tuple[float, float]]:
    """The last stretch of a central line: down the superior vena cava to its tip."""
    tip = body.heart_top + _CATHETER_TIPS[anatomy]
    return [(body.midline - 0.046, 0.24), (body.midline - 0.053, 0.30), (body.midline - 0.056, tip)]


def catheter(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A central catheter from the right side of the neck or from a subclavian vein."""
    body, severity = scene.body, finding.severity
    side = RIGHT if rng.random() < 0.7 else LEFT
    if rng.random() < 0.6:
        start = [(side * 0.075, -0.03), (side * 0.066, 0.06), (side * 0.055, 0.15)]
    else:
        start = [(side * 0.27, 0.215), (side * 0.19, 0.165), (side * 0.09, 0.175)]
    curve = smooth_curve([*start, *_central_tip(body, finding.anatomy)])
    curve[1:-1] += rng.normal(0, 0.0008, curve[1:-1].shape)
    line = scene.canvas.lines([curve], 0.0075 + 0.003 * severity, soft=0.0007)
    return _added(scene, np.float32(0.20 + 1.50 * severity) * line)


def picc(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A thin central line that comes from an arm."""
    body, severity = scene.body, finding.severity
    side = RIGHT if rng.random() < 0.6 else LEFT
    arm = [(side * 0.56, 0.36), (side * 0.47, 0.27), (side * 0.39, 0.205), (side * 0.28, 0.165)]
    chest = [(side * 0.17, 0.150), (side * 0.075, 0.185)]
    curve = smooth_curve([*arm, *chest, *_central_tip(body, finding.anatomy)])
    line = scene.canvas.lines([curve], 0.0046 + 0.0034 * severity, soft=0.0006)
    return _added(scene, np.float32(0.20 + 1.60 * severity) * line)


def tube(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """An endotracheal tube above the carina, or a feeding tube to the stomach."""
    body, severity = scene.body, finding.severity
    middle = body.midline
    if finding.anatomy == "trachea":
        tip = body.carina - rng.uniform(0.05, 0.09)
        course = smooth_curve([(0.5 * middle, -0.05), (0.8 * middle, 0.10), (middle - 0.004, tip)])
        walls = [moved(course, offset) for offset in (-0.010, 0.010)]
        walls.append(np.stack([moved(course[-1], -0.010), moved(course[-1], 0.010, 0.006)]))
        line = scene.canvas.lines(walls, 0.0050 + 0.0020 * severity, soft=0.0006)
        return _added(scene, np.float32(0.20 + 1.50 * severity) * line, 0.007)
    floor = body.left.dome
    gullet = [(0.006, -0.05), (0.010 + middle, 0.15), (0.006 + middle, 0.34), (0.012 + middle, 0.52)]
    stomach = [(0.030 + middle, floor + 0.01), (0.085, floor + 0.075)]
    end = (0.150 + rng.normal(0, 0.02), floor + 0.125 + rng.normal(0, 0.015))
    course = smooth_curve([*gullet, *stomach, end])
    line = scene.canvas.lines([course], 0.0065 + 0.004 * severity, soft=0.0006)
    return _added(scene, np.float32(0.20 + 1.50 * severity) * line)


def sternal_wires(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Wire loops down the sternum."""
    body, severity = scene.body, finding.severity
    count = 4 + round(3 * severity)
    middle = 1.4 * body.midline
    loops = []
    for v in np.linspace(0.25, 0.62, count) + rng.normal(0, 0.005, count):
        tilt = rng.normal(0, 0.20)
        loops.append(ellipse((middle + rng.normal(0, 0.004), v), (0.018, 0.0095), tilt, samples=20))
        loops.append(ellipse((middle + rng.normal(0, 0.006), v + 0.013), (0.005, 0.0035), tilt, samples=20))
    line = scene.canvas.lines(loops, 0.0042 + 0.0028 * severity, soft=0.0004, closed=True)
    return _added(scene, np.float32(0.30 + 2.6 * severity) * line, 0.006)


def clips(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Small metal clips at the left heart border, as after a bypass, or at a hilum, as after a lobectomy."""
    body, severity = scene.body, finding.severity
    count = 4 + round(10 * severity)
    if finding.anatomy == "mediastinal":
        heights = np.linspace(0.33, 0.60, count) + rng.normal(0, 0.008, count)
        u = (
            np.interp(heights, [0.33, 0.60], [0.045, 0.75 * body.heart_left])
            + body.midline
            + rng.normal(0, 0.014, count)
        )
        places = np.stack([u, heights], 1)
    else:
        centre = np.array(hilum(body, LEFT if finding.anatomy == "left_hilar" else RIGHT))
        places = centre + rng.normal(0, 0.026, (count, 2))
    turn = rng.uniform(0, np.pi, count)
    half = 0.5 * (0.014 + 0.012 * severity) * np.stack([np.cos(turn), np.sin(turn)], 1)
    line = scene.canvas.lines(
        list(np.stack([places - half, places + half], 1)), 0.0060 + 0.0020 * severity, soft=0.0004
    )
    return _added(scene, np.float32(0.30 + 2.7 * severity) * line, 0.006)
