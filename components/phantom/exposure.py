"""From attenuation to a radiograph: scatter, blur, quantum noise, the logarithm, the window, collimation."""

from dataclasses import dataclass

import cv2
import numpy as np

from components.phantom.raster import Canvas

UNEXPOSED = 0.02  # grey level outside the collimated field


@dataclass(frozen=True)
class Exposure:
    """How a radiograph is taken and shown; drawn independently of what it shows."""

    zoom: float
    tilt: float  # radians
    shift: tuple[float, float]
    scatter: float  # scattered over primary radiation
    unsharpness: float  # deviation of the blur in body units
    noise: float  # relative noise where the transmitted share is 1
    centre: float  # optical path shown as middle grey
    width: float  # of the window, in optical path
    enhancement: float  # of edges
    collimation: tuple[float, float, float, float]  # shares of the image that are shut off: top, bottom, left, right


def sample_exposure(view: str, rng: np.random.Generator) -> Exposure:
    """The technique of a radiograph; portable AP ones are less sharp, noisier and less well centred."""
    portable = view == "AP"
    loose = 1.6 if portable else 1.0
    shut = np.where(rng.random(4) < 0.35, rng.uniform(0.004, 0.03, 4), 0.0)
    top, bottom, left, right = (float(value) for value in shut)
    return Exposure(
        zoom=float(np.clip(rng.normal(1.05, 0.025), 0.98, 1.11)),
        tilt=float(rng.normal(0, 0.012 * loose)),
        shift=(float(rng.normal(0, 0.010 * loose)), float(rng.normal(0.030, 0.010 * loose))),
        scatter=float(rng.uniform(0.14, 0.24) if portable else rng.uniform(0.06, 0.16)),
        unsharpness=float(rng.uniform(0.0016, 0.0028) if portable else rng.uniform(0.0006, 0.0016)),
        noise=float(rng.uniform(0.0030, 0.0070)),
        centre=float(rng.normal(2.95, 0.09)),
        width=float(rng.uniform(3.6, 4.4)),
        enhancement=float(rng.uniform(0.2, 0.7)),
        collimation=(top, bottom, left, right),
    )


def expose(attenuation_HW: np.ndarray, exposure: Exposure, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The radiograph [H, W] in [0, 1], dense tissue bright."""
    primary = np.exp(-attenuation_HW)
    soft = canvas.blur(primary, exposure.unsharpness)
    received = soft + np.float32(exposure.scatter) * canvas.blur(np.minimum(primary, np.float32(0.25)), 0.09)
    grain = rng.standard_normal(received.shape, dtype=np.float32)
    # Detectors smear the quanta over neighbouring pixels.
    grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * np.float32(1.9)
    received += np.float32(exposure.noise) * np.sqrt(received) * grain
    path = -np.log(np.maximum(received, np.float32(1e-4)))
    path += np.float32(exposure.enhancement) * (path - canvas.blur(path, 0.010))
    return 1 / (1 + np.exp((np.float32(exposure.centre) - path) * np.float32(4 / exposure.width)))


def exposed(height: int, width: int, exposure: Exposure) -> np.ndarray:
    """Where the collimator lets radiation through: bool [H, W]."""
    top, bottom, left, right = exposure.collimation
    frame = np.zeros((height, width), dtype=bool)
    frame[round(top * height) : height - round(bottom * height), round(left * width) : width - round(right * width)] = (
        True
    )
    return frame
