"""An image's own labels, boxes and masks as rows of the table `annotations`, in shard pixels, and what was mended.

A box is cut at the image's edge; one that lies outside, and a mask without a pixel, is left out. A mask of another size
than its image has no place in it, so that the image is refused.
"""

from collections import Counter
from typing import Any

from components.core.records.letterbox import Letterbox, map_box
from components.core.records.masks import shard_mask_png

Row = dict[str, Any]
MENDED = ("boxes_cut", "boxes_outside", "masks_empty")


def annotation_rows(row: Row, letterbox: Letterbox, mended: Counter[str]) -> list[Row]:
    """The rows of an inventory row; `mended` counts what was cut or left out.

    Raises:
        ValueError: a mask does not fit the image.
    """
    nothing = dict.fromkeys(("x", "y", "width", "height", "mask_png"))
    named = {"image_id": row["image_id"], **nothing}
    rows = [{**named, "kind": "label", "name": label["name"], "value": label["value"]} for label in row["labels"]]
    for box in row["boxes"]:
        inside = inside_image(box, letterbox, mended)
        if inside is not None:
            place = dict(zip(("x", "y", "width", "height"), map_box(letterbox.affine, *inside), strict=True))
            rows.append({**named, **place, "kind": "box", "name": box["name"], "value": 1})
    for mask in row["masks"]:
        size = mask["rows"], mask["columns"]
        if size != (letterbox.rows, letterbox.columns):
            raise ValueError(
                f"the mask is for {size[0]} x {size[1]} pixels, the image has {letterbox.rows} x {letterbox.columns}"
            )
        if any(int(length) for length in mask["runs"].split()[1::2]):
            png = shard_mask_png(mask["runs"], letterbox)
            rows.append({**named, "kind": "mask", "name": mask["name"], "value": 1, "mask_png": png})
        else:
            mended["masks_empty"] += 1
    return rows


def inside_image(box: Row, letterbox: Letterbox, mended: Counter[str]) -> tuple[float, float, float, float] | None:
    """The part of a box in source pixels that lies in the image, None where there is none; both are counted."""
    left, top = max(0.0, box["x"]), max(0.0, box["y"])
    right = min(float(letterbox.columns), box["x"] + box["width"])
    bottom = min(float(letterbox.rows), box["y"] + box["height"])
    if left >= right or top >= bottom:
        mended["boxes_outside"] += 1
        return None
    cut = (left, top, right - left, bottom - top)
    whole = (box["x"], box["y"], box["width"], box["height"])
    if any(abs(part - full) > 1e-6 for part, full in zip(cut, whole, strict=True)):
        mended["boxes_cut"] += 1
        return cut
    return whole
