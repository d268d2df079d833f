"""Findings that fill the air spaces of the lung: consolidation, opacity, the patches of COVID-19, oedema."""

import numpy as np

from components.phantom.body import LEFT, RIGHT, cage_width, heart_border, hilum
from components.phantom.findings.places import sides, spot, visible, zone_height
from components.phantom.raster import ellipse, smooth_curve
from components.phantom.scene import Scene
from components.phantom.study import Finding

# Centre of each lobe on a frontal radiograph: share of the way from the heart to the ribs, of that from apex to dome,
# and its radii in body units.
_LOBES = {
    "upper_right_lobe": (0.45, 0.30, 0.150, 0.120),
    "upper_left_lobe": (0.45, 0.34, 0.140, 0.150),
    "middle_right_lobe": (0.12, 0.74, 0.150, 0.085),
    "lower_right_lobe": (0.50, 0.90, 0.150, 0.135),
    "lower_left_lobe": (0.30, 0.88, 0.160, 0.140),
}


def _lobe(scene: Scene, finding: Finding, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
    """The soft-edged part of a lobe that is filled [H, W], and its centre."""
    body, canvas = scene.body, scene.canvas
    (side,) = sides(finding.anatomy)
    out, down, wide, tall = _LOBES[finding.anatomy]
    v = body.apex + down * (body.side(side).dome - body.apex) + rng.normal(0, 0.01)
    inner, outer = heart_border(body, side, v), float(cage_width(body, v))
    centre = (side * (inner + out * (outer - inner)), v)
    size = 0.50 + 0.50 * finding.severity
    knots = ellipse(centre, (wide * size, tall * size), rng.normal(0, 0.2), samples=11)
    knots = np.asarray(centre) + (knots - centre) * rng.uniform(0.82, 1.15, (11, 1))
    region = canvas.area(smooth_curve(knots, closed=True), soft=0.014)
    if finding.anatomy == "upper_right_lobe":  # ends at the horizontal fissure
        fissure = zone_height(body, side, "mid") - 0.02 + np.float32(0.05) * canvas.u_HW
        region = region * np.clip((fissure - canvas.v_HW) / np.float32(0.006), 0, 1)
    return region * scene.lungs[side], centre


def consolidation(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A dense lobe that hides vessels and borders, with air bronchograms in it."""
    canvas = scene.canvas
    (side,) = sides(finding.anatomy)
    region, centre = _lobe(scene, finding, rng)
    mottle = 1 + np.float32(0.14) * canvas.texture(rng, 0.03)
    share = np.clip(np.float32(0.34 + 0.56 * finding.severity) * region * mottle, 0, np.float32(0.95))
    root = np.array(hilum(scene.body, side))
    bronchi = []
    for _ in range(5):
        end = np.asarray(centre) + rng.normal(0, 0.055, 2)
        middle = 0.5 * (root + end) + rng.normal(0, 0.012, 2)
        fork = end + 0.45 * (end - middle) + rng.normal(0, 0.025, 2)
        bronchi.append(smooth_curve([root, middle, end, fork]))
    air = canvas.lines(bronchi, 0.0055, soft=0.0014) * region
    share *= 1 - np.float32(0.38) * air
    change = share * scene.air_HW
    scene.fill(share)
    return visible(change, 0.25)


def opacity(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A hazy, patchy cloud with no sharp edge, through which vessels still show."""
    canvas = scene.canvas
    (side,) = sides(finding.anatomy)
    centre = spot(scene.body, finding.anatomy, 0.05, rng, spread=0.03)
    cloud = np.zeros_like(scene.air_HW)
    size = 0.038 + 0.046 * finding.severity
    for _ in range(int(rng.integers(4, 8))):
        place = (centre[0] + rng.normal(0, 0.8 * size), centre[1] + rng.normal(0, 0.8 * size))
        radii = (size * rng.uniform(0.45, 0.9), size * rng.uniform(0.4, 0.75))
        cloud = np.maximum(cloud, np.float32(rng.uniform(0.65, 1.0)) * canvas.blob(place, radii, rng.uniform(0, np.pi)))
    mottle = 1 + np.float32(0.14) * canvas.texture(rng, 0.018)
    share = np.clip(np.float32(0.10 + 0.62 * finding.severity) * cloud * mottle, 0, np.float32(0.8)) * scene.lungs[side]
    change = share * scene.air_HW
    scene.fill(share)
    return visible(canvas.blur(change, 0.008), 0.25)


def covid(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Ground-glass patches in both lungs, along the ribs and below the middle, fine-grained and with no sharp edge."""
    canvas, body = scene.canvas, scene.body
    cloud = np.zeros_like(scene.air_HW)
    size = 0.034 + 0.030 * finding.severity
    for side in (LEFT, RIGHT):
        for zone, shift in (("mid", 0.0), ("mid", 0.09), ("lower", -0.02), ("lower", 0.05)):
            v = zone_height(body, side, zone) + shift + rng.normal(0, 0.02)
            u = side * (float(cage_width(body, v)) - rng.uniform(0.5, 1.3) * size)
            radii = (size * rng.uniform(0.7, 1.1), size * rng.uniform(0.8, 1.5))
            patch = canvas.blob((u, v), radii, side * rng.uniform(-0.2, 0.2))
            cloud = np.maximum(cloud, np.float32(rng.uniform(0.5, 1.0)) * patch)
    mesh = np.clip(1 + np.float32(0.30) * canvas.texture(rng, 0.009), np.float32(0.3), 2)
    share = np.clip(np.float32(0.12 + 0.55 * finding.severity) * cloud * mesh, 0, np.float32(0.75)) * scene.both_lungs
    change = share * scene.air_HW
    scene.fill(share)
    return visible(canvas.blur(change, 0.008), 0.25)


def edema(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Fluid in both lungs: blurred vessels and septal lines in the interstitium, bat wings in the air spaces."""
    canvas, body = scene.canvas, scene.body
    alveolar = finding.anatomy == "parenchymal"
    haze = np.zeros_like(scene.air_HW)
    for side in (LEFT, RIGHT):
        u, v = hilum(body, side)
        reach = (0.085, 0.12) if alveolar else (0.12, 0.19)
        haze += canvas.blob((u + side * 0.055, v + 0.075), reach, side * -0.12)
    if alveolar:
        clumps = np.clip(1 + np.float32(0.16) * canvas.texture(rng, 0.020), np.float32(0.3), 2)
        strength = 0.10 + 0.62 * finding.severity
    else:
        clumps = 1 + np.float32(0.12) * canvas.texture(rng, 0.010)
        strength = 0.07 + 0.36 * finding.severity
        _septal_lines(scene, finding.severity, rng)
        blurred = canvas.blur(scene.vessel_HW, 0.005)
        scene.vessel_HW = scene.vessel_HW + np.float32(0.7 * finding.severity) * blurred
    share = np.clip(np.float32(strength) * np.minimum(haze, 1) * clumps, 0, np.float32(0.9)) * scene.both_lungs
    change = share * scene.air_HW
    scene.fill(share)
    return visible(canvas.blur(change, 0.010), 0.2)


def _septal_lines(scene: Scene, severity: float, rng: np.random.Generator) -> None:
    """Kerley B lines: short horizontal lines at the ribs of the lower lungs."""
    body, lines = scene.body, []
    for side in (LEFT, RIGHT):
        for v in zone_height(body, side, "lower") + np.linspace(-0.09, 0.07, 4 + round(8 * severity)):
            wall = float(cage_width(body, v))
            start = wall - rng.uniform(0.030, 0.055)
            lines.append([(side * start, v + rng.normal(0, 0.003)), (side * wall, v + rng.normal(0, 0.003))])
    drawn = scene.canvas.lines(lines, 0.0030, soft=0.0006) * scene.both_lungs
    scene.vessel_HW = scene.vessel_HW + np.float32(0.10 + 0.28 * severity) * drawn
