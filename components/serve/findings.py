"""What the model says of one radiograph: every finding it was trained on, how probable, at which anatomy, where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from components.core.metrics.grounding import normalised
from components.core.model import VisionLanguageModel
from components.core.records.letterbox import Letterbox
from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX

HIGH = 0.5  # the box is drawn around the part of the map above this share of its range


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        pathology: its name.
        probability: 0 to 1, as trained; not calibrated on the user's own patients.
        anatomy: the likeliest of the anatomies where the training saw it, and `anatomy_probability` how likely; None
            where the training never saw its place.
        box: x, y, width and height in source pixels, by their edges, around where the model looks most; None where its
            attention lies outside the image.
        map_hw: attention to the patches of the letterboxed square; `source_map` brings it onto the source's pixels.
    """

    pathology: str
    probability: float
    anatomy: str | None
    anatomy_probability: float | None
    box: tuple[float, float, float, float] | None
    map_hw: npt.NDArray[np.float32]

    def record(self) -> dict[str, Any]:
        """As it stands in findings.json."""
        names = ("x", "y", "width", "height")
        return {
            "pathology": self.pathology,
            "probability": round(self.probability, 6),
            "anatomy": self.anatomy,
            "anatomy_probability": None if self.anatomy_probability is None else round(self.anatomy_probability, 6),
            "box": None if self.box is None else dict(zip(names, (round(edge, 2) for edge in self.box), strict=True)),
        }


def source_map(map_hw: npt.NDArray[np.float32], letterbox: Letterbox) -> npt.NDArray[np.float32]:
    """A map of the letterboxed square on the source's pixels, [H, W], scaled to 0 … 1 within the image."""
    size = letterbox.size
    map_SS = cv2.resize(map_hw.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    affine = np.asarray(letterbox.affine, np.float64).reshape(2, 3)
    # The affine leads from source to square: warping by its inverse brings the map back, edges held.
    map_HW = cv2.warpAffine(
        map_SS, affine, (letterbox.columns, letterbox.rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(normalised(map_HW), np.float32)


def box_of(map_HW: npt.NDArray[np.float32]) -> tuple[float, float, float, float] | None:
    """The box around the connected part of a map that holds its peak and is above `HIGH`; None for a flat map."""
    if not map_HW.any():
        return None
    _, parts_HW, boxes, _ = cv2.connectedComponentsWithStats((map_HW >= HIGH).astype(np.uint8), connectivity=8)
    x, y, width, height, _ = boxes[parts_HW.flat[int(map_HW.argmax())]]
    return float(x), float(y), float(width), float(height)


def findings_of(
    model: VisionLanguageModel,
    image_SS: npt.NDArray[np.uint8],
    letterbox: Letterbox,
    pathologies: Sequence[str],
    places: Mapping[str, Sequence[str]],
) -> list[Finding]:
    """Ask the model for the findings, most probable first.

    Args:
        model: in evaluation mode.
        image_SS: uint8 [S, S], letterboxed.
        letterbox: where the source lies in it.
        pathologies: which to ask for, by name.
        places: the anatomies that are thought of for each.
    """
    with torch.inference_mode():
        outputs = model(torch.from_numpy(image_SS.copy())[None, None], attention=True)
    assert outputs.attention_p_BLPN is not None
    presence_P, place_AP = outputs.presence_BP[0].double().numpy(), outputs.place_BAP[0].double().numpy()
    maps_Phw = outputs.attention_p_BLPN[0].mean(0).unflatten(-1, outputs.grid).float().numpy()
    found = []
    for name in sorted(pathologies, key=lambda name: (-presence_P[PATHOLOGY_INDEX[name]], name)):
        column = PATHOLOGY_INDEX[name]
        likely = {place: float(place_AP[ANATOMY_INDEX[place], column]) for place in places[name]}
        anatomy = max(likely, key=likely.__getitem__, default=None)
        box = box_of(source_map(maps_Phw[column], letterbox))
        there = None if anatomy is None else likely[anatomy]
        found.append(Finding(name, float(presence_P[column]), anatomy, there, box, maps_Phw[column]))
    return found
