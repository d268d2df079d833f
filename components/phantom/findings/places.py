"""Where the anatomies lie in a body, and how much of a change counts as visible."""

import numpy as np

from components.phantom.body import LEFT, RIGHT, Body, cage_width, heart_border

# How far down a zone's centre lies between apex and dome.
_ZONES = {"upper": 0.26, "mid": 0.54, "lower": 0.82}


def sides(anatomy: str) -> tuple[int, ...]:
    """The sides that an anatomy's name means: left, right, or both where it names none."""
    words = anatomy.split("_")
    return (LEFT,) if "left" in words else (RIGHT,) if "right" in words else (LEFT, RIGHT)


def zone_height(body: Body, side: int, zone: str) -> float:
    """The v of the centre of a lung zone: upper, mid or lower."""
    return body.apex + _ZONES[zone] * (body.side(side).dome - body.apex)


def zone_of(anatomy: str) -> str:
    """The zone in the name of an anatomy such as left_mid_lung."""
    return next(zone for zone in _ZONES if zone in anatomy)


def spot(
    body: Body, anatomy: str, margin: float, rng: np.random.Generator, spread: float = 0.07
) -> tuple[float, float]:
    """A point in a lung zone, at least about a margin away from the ribs and from the heart."""
    (side,) = sides(anatomy)
    v = zone_height(body, side, zone_of(anatomy)) + rng.uniform(-spread, spread)
    outer = float(cage_width(body, v)) - margin - 0.012
    inner = min(heart_border(body, side, v) + margin, outer - 0.02)
    return (side * rng.uniform(inner, outer), v)


def visible(change_HW: np.ndarray, share: float = 0.25) -> np.ndarray:
    """Where a change of attenuation is at least a share of its largest value: a bool mask [H, W]."""
    return change_HW >= max(share * float(change_HW.max()), 1e-6)
