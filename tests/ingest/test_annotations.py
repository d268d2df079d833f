"""Labels, boxes and masks in shard pixels: what does not fit is cut, left out or refused, and counted."""

from collections import Counter
from typing import Any

import pytest

from components.core.records.letterbox import Letterbox
from components.ingest.annotations import annotation_rows

LETTERBOX = Letterbox.of(80, 40, 40)  # half the size, 10 pixels from the left


def row(**own: Any) -> dict[str, Any]:
    return {"image_id": "i", "labels": [{"name": "mass", "value": 1}], "boxes": [], "masks": [], **own}


def box(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    return {"name": "mass", "x": x, "y": y, "width": width, "height": height}


def mask(runs: str, rows: int = 80, columns: int = 40) -> dict[str, Any]:
    return {"name": "mass", "runs": runs, "rows": rows, "columns": columns}


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
