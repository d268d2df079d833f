"""Where findings are in truth, in shard pixels: boxes and masks, and how they get there from source pixels.

Boxes, masks and points count pixel edges: pixel i spans [i, i + 1) and its centre is i + 0.5. Affines map from pixel
centre to pixel centre (see `components.core.records.letterbox`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.metrics.grounding import Mask, box_mask
from components.core.records.letterbox import Letterbox, map_box
from components.zero_shot.truth import Drawn

Box = tuple[float, float, float, float]
Affine = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """Where one finding is in one image.

    Attributes:
        image_id: the image.
        name: the finding.
        boxes: x, y, width and height of each of its parts.
        mask_SS: the pixels of all its parts together.
        radiograph: where the radiograph lies in the square; the bars beside it are no part of it.
    """

    image_id: str
    name: str
    boxes: tuple[Box, ...]
    mask_SS: Mask
    radiograph: Letterbox

    @property
    def share(self) -> float:
        """How much of its radiograph it covers."""
        return float(self.radiograph.inside(self.mask_SS).mean())

    @property
    def centre(self) -> tuple[float, float]:
        """The mean of the centres of its boxes."""
        x, y, width, height = np.array(self.boxes).T
        return float((x + width / 2).mean()), float((y + height / 2).mean())


def _box(row: dict[Any, Any]) -> Box:
    return row["x"], row["y"], row["width"], row["height"]


def mapped_mask(mask_HW: Mask, affine_23: Affine, size: int) -> Mask:
    """The pixels of the shard, [size, size], that a source mask covers at least half.

    A mask too small to cover half of any pixel keeps the pixels that it covers most, so that no finding is lost.
    """
    fine = max(1, int(np.ceil(1 / np.sqrt(abs(np.linalg.det(affine_23[:, :2]))))))
    # Every shard pixel is divided into fine x fine; an affine maps centres, and a pixel's centre lies at its index.
    fine_23 = affine_23 * fine
    fine_23[:, 2] += (fine - 1) / 2
    side = size * fine
    covered = cv2.warpAffine(mask_HW.astype(np.float32), fine_23, (side, side), flags=cv2.INTER_NEAREST)
    share_SS = covered.reshape(size, fine, size, fine).mean((1, 3))
    half = share_SS >= 0.5
    return half if half.any() else (share_SS > 0) & (share_SS == share_SS.max())


def decoded_mask(png: bytes) -> Mask:
    """A mask from its PNG: what is not 0 belongs to it.

    Raises:
        ValueError: the bytes are no PNG.
    """
    mask_HW = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask_HW is None:
        raise ValueError("a mask of the truth is not a PNG")
    return mask_HW > 0


def box_around(mask_HW: Mask) -> Box:
    """The smallest box that holds every pixel of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1))


def drawn_places(
    drawn: Drawn, names: tuple[str, ...], min_severity: float, radiographs: Mapping[str, Letterbox]
) -> list[Place]:
    """The places of drawn findings of at least the severity, the parts of one finding in one image together.

    A finding that lies outside the shard's image has an empty mask. Only those in one of the radiographs are given.
    """
    findings = drawn.findings
    chosen = findings[findings["pathology"].isin(names) & (findings["severity"] >= min_severity)]
    chosen = chosen[chosen["image_id"].isin(radiographs.keys())]
    places = []
    for (image_id, name), parts in chosen.groupby(["image_id", "pathology"], sort=True):
        radiograph = radiographs[str(image_id)]
        size = radiograph.size
        boxes: list[Box] = []
        mask_SS = np.zeros((size, size), bool)
        for part in parts.to_dict("records"):
            affine_23 = np.asarray(part["affine"], np.float64).reshape(2, 3)
            mask_SS |= mapped_mask(decoded_mask(part["mask_png"]), affine_23, size)
            boxes.append(map_box(part["affine"], *_box(part)))
        places.append(Place(str(image_id), str(name), tuple(boxes), mask_SS, radiograph))
    return places


def annotated_places(
    annotations: pd.DataFrame, names: tuple[str, ...], radiographs: Mapping[str, Letterbox]
) -> list[Place]:
    """The places that the dataset itself gives in the radiographs, boxes and masks, already in shard pixels.

    A box outside the image gives an empty mask.

    Raises:
        ValueError: a mask is no PNG, or of another size than the shards' images.
    """
    chosen = annotations[annotations["kind"].isin(["box", "mask"]) & annotations["name"].isin(names)]
    chosen = chosen[chosen["image_id"].isin(radiographs.keys())]
    places = []
    for (image_id, name), parts in chosen.groupby(["image_id", "name"], sort=True):
        radiograph = radiographs[str(image_id)]
        size = radiograph.size
        boxes: list[Box] = []
        mask_SS = np.zeros((size, size), bool)
        for part in parts.to_dict("records"):
            if part["kind"] == "mask":
                part_SS = decoded_mask(part["mask_png"])
                if part_SS.shape != mask_SS.shape:
                    raise ValueError(
                        f"a mask has the shape {part_SS.shape}, its image {mask_SS.shape}: run ingest again"
                    )
                boxes += [box_around(part_SS)] if part_SS.any() else []
            else:
                boxes.append(_box(part))
                part_SS = box_mask(*boxes[-1], size)
            mask_SS |= part_SS
        places.append(Place(str(image_id), str(name), tuple(boxes), mask_SS, radiograph))
    return places
