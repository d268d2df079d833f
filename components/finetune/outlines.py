"""What the mask of an image is drawn from: its masks, or its boxes where it has none. Axes: S shard pixels."""

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.metrics.grounding import box_mask

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Outline:
    """The union of masks, or of boxes, in an image of `side` x `side` shard pixels; of none of them an empty mask.

    Attributes:
        masks: PNG files.
        boxes: left, upper edge, width, height; what lies outside the image is cut off.
    """

    masks: tuple[bytes, ...]
    boxes: tuple[Box, ...]
    side: int

    def mask(self) -> npt.NDArray[np.uint8]:
        """The mask uint8 [S, S], 1 within and 0 elsewhere."""
        mask_SS = np.zeros((self.side, self.side), np.uint8)
        for png in self.masks:
            mask_SS |= decoded(png) > 0
        for box in self.boxes:
            mask_SS |= box_mask(*box, self.side)
        return mask_SS

    @property
    def shows_something(self) -> bool:
        """Whether the mask has a pixel."""
        return bool(self.mask().any())


def decoded(png: bytes) -> npt.NDArray[np.uint8]:
    """The pixels of a PNG; an array of no pixel where it is none."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE) if png else None
    return np.zeros((0, 0), np.uint8) if pixels is None else np.asarray(pixels, np.uint8)


def outlines_of(annotations: pd.DataFrame, side: int) -> tuple[dict[str, Outline], dict[str, str]]:
    """The outlines of a dataset's images, and the images whose outline cannot be used, each with the reason.

    An image with a mask of another size than its own is not used. Empty masks and boxes without a pixel in the image
    say nothing: an image that has only those counts as one without an outline.
    """
    outlines, faults = {}, {}
    places = annotations[annotations["kind"].isin(["mask", "box"])]
    for image, rows in places.groupby("image_id", sort=True):
        masks = tuple(rows.loc[rows["kind"] == "mask", "mask_png"])
        boxes = rows.loc[rows["kind"] == "box", ["x", "y", "width", "height"]].itertuples(index=False, name=None)
        outline = Outline(masks, () if masks else tuple(boxes), side)
        if any(decoded(png).shape != (side, side) for png in masks):
            faults[str(image)] = "mask_of_another_size"
        elif outline.shows_something:
            outlines[str(image)] = outline
    return outlines, faults


def oddities(annotations: pd.DataFrame, side: int) -> dict[str, int]:
    """How many masks are empty, and how many boxes lie partly or wholly outside their image."""
    found = Counter[str](empty_masks=0, boxes_cut=0, boxes_outside=0)
    for png in annotations.loc[annotations["kind"] == "mask", "mask_png"]:
        found["empty_masks"] += not decoded(png).any()
    boxes = annotations.loc[annotations["kind"] == "box", ["x", "y", "width", "height"]]
    for x, y, width, height in boxes.itertuples(index=False, name=None):
        if not box_mask(x, y, width, height, side).any():
            found["boxes_outside"] += 1
        elif min(x, y) < -0.5 or max(x + width, y + height) > side + 0.5:  # half a pixel is rounding
            found["boxes_cut"] += 1
    return dict(found)
