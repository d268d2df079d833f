"""Labels, boxes and masks in shard pixels: what does not fit is cut, left out or refused, and counted."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from components.core.archives import open_archive
from components.core.records.letterbox import Letterbox
from components.ingest.annotations import annotation_rows
from tests.archive_files import write

LETTERBOX = Letterbox.of(80, 40, 40)  # half the size, 10 pixels from the left


def row(**own: Any) -> dict[str, Any]:
    return {"image_id": "i", "labels": [{"name": "mass", "value": 1}], "boxes": [], "masks": [], **own}


def box(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    return {"name": "mass", "x": x, "y": y, "width": width, "height": height}


def mask(runs: str, rows: int = 80, columns: int = 40) -> dict[str, Any]:
    return {"name": "mass", "runs": runs, "rows": rows, "columns": columns}


def drawn_by_hand(text: str) -> np.ndarray:
    """A mask of 1024 x 1024 from relative runs, pixel by pixel: down the first column, then down the next."""
    mask, pixel = np.zeros((1024, 1024), bool), 0
    for number, count in enumerate(map(int, text.split())):
        for place in range(pixel, pixel + count):
            mask[place % 1024, place // 1024] = number % 2
        pixel += count
    return mask


def test_rows_of_siim_as_published_become_the_mask_that_they_describe(tmp_path: Path) -> None:
    """Windows line ends, a blank before the header's second word and before the runs, two rows of one image."""
    image, other = "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850739", "1.2.276.0.7230010.3.1.4.8323329.13666.1"
    tall = "209800 " + " ".join(["300 724"] * 40) + " 17"  # from row 904 of column 204 on, over its end
    wide = "300 90" + " 934 90" * 39  # rows 300 to 389 of the first 40 columns
    write(tmp_path, "train-rle.csv",
          f"ImageId, EncodedPixels\r\n{image}, {tall}\r\n{other}, -1\r\n{image}, {wide}\r\n")  # fmt: skip
    write(tmp_path, f"dicom-images-train/1.2.276.1/1.2.276.2/{image}.dcm", b"never read here")
    entry = next(one for one in open_archive("siim_acr", str(tmp_path)).entries() if one.image == image)
    assert entry.labels[0].value == 1
    own = {key: [asdict(part) for part in getattr(entry, key)] for key in ("labels", "boxes", "masks")}
    found = annotation_rows({"image_id": "i", **own}, Letterbox.of(1024, 1024, 64), Counter())
    masks = [cv2.imdecode(np.frombuffer(one["mask_png"], np.uint8), -1) > 0 for one in found if one["kind"] == "mask"]
    for mask, text in zip(masks, (tall, wide), strict=True):
        share = drawn_by_hand(text).reshape(64, 16, 64, 16).mean((1, 3))
        np.testing.assert_array_equal(mask, share >= 0.5)
        assert mask.any()


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in found]


def test_a_box_is_cut_at_the_edge_and_one_outside_is_left_out() -> None:
    mended: Counter[str] = Counter()
    boxes = [box(4, 8, 10, 20), box(-6, 70, 16, 30), box(40, 0, 5, 5), box(10, -9, 5, 9)]
    found = annotation_rows(row(boxes=boxes), LETTERBOX, mended)
    assert kinds(found) == ["label", "box", "box"]
    places = [tuple(one[axis] for axis in ("x", "y", "width", "height")) for one in found[1:]]
    assert places == [(12, 4, 5, 10), (10, 35, 5, 5)]
    assert mended == {"boxes_cut": 1, "boxes_outside": 2}


def test_an_empty_mask_is_left_out_and_the_label_stays() -> None:
    mended: Counter[str] = Counter()
    found = annotation_rows(row(masks=[mask(""), mask("5 0"), mask("0 40")]), LETTERBOX, mended)
    assert kinds(found) == ["label", "mask"]
    assert mended == {"masks_empty": 2}


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        (mask("0 40", 1024, 1024), "the mask is for 1024 x 1024 pixels, the image has 80 x 40"),
        (mask("3199 2"), "a run of the mask ends at pixel 3201 of 3200"),
    ],
)
def test_a_mask_of_another_size_has_no_place(own: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        annotation_rows(row(masks=[own]), LETTERBOX, Counter())
