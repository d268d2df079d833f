import cv2
import numpy as np
import pandas as pd
import pytest

from components.core.metrics.grounding import box_mask
from components.core.records.masks import mask_of, runs_of
from components.core.records.tables import read_table, write_table
from components.finetune.examples import read_labelled
from components.finetune.outlines import Outline, oddities, outlines_of
from tests import evaluation_workspace as workspace

SIDE = 8


def png(*boxes: tuple[int, int, int, int], side: int = SIDE) -> bytes:
    mask = np.zeros((side, side), np.uint8)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = 255
    return cv2.imencode(".png", mask)[1].tobytes()


def annotations(*rows: tuple) -> pd.DataFrame:
    """Rows of image, kind and a label's value, a box or a mask's PNG."""
    keys = ("x", "y", "width", "height")
    return pd.DataFrame(
        {
            "image_id": image,
            "kind": kind,
            "name": "pneumonia",
            "value": what if kind == "label" else 1,
            **(dict(zip(keys, map(float, what), strict=True)) if kind == "box" else dict.fromkeys(keys)),
            "mask_png": what if kind == "mask" else None,
        }
        for image, kind, what in rows
    )


def test_masks_are_united_and_go_before_boxes() -> None:
    table = annotations(("a", "mask", png((0, 0, 2, 2))), ("a", "mask", png((4, 4, 1, 3))), ("a", "box", (0, 0, 8, 8)),
                        ("b", "box", (1, 1, 2, 3)), ("b", "box", (2, 1, 2, 3)))  # fmt: skip
    outlines, faults = outlines_of(table, SIDE)
    assert not faults
    assert outlines["a"].mask().sum() == 4 + 3
    np.testing.assert_array_equal(outlines["b"].mask(), box_mask(1, 1, 3, 3, SIDE))


def test_a_mask_of_another_size_is_a_fault_and_an_empty_one_says_nothing() -> None:
    table = annotations(("large", "mask", png((0, 0, 2, 2), side=9)), ("empty", "mask", png()),
                        ("outside", "box", (20, 0, 4, 4)), ("none", "mask", b""))  # fmt: skip
    outlines, faults = outlines_of(table, SIDE)
    assert not outlines
    assert faults == {"large": "mask_of_another_size", "none": "mask_of_another_size"}


def test_what_says_less_than_it_should_is_counted() -> None:
    table = annotations(("a", "mask", png()), ("b", "box", (20, 0, 4, 4)), ("c", "box", (-3, 0, 5, 5)),
                        ("d", "box", (5, 5, 4, 2)), ("e", "box", (0, 0, 8.2, 8)))  # fmt: skip
    assert oddities(table, SIDE) == {"empty_masks": 1, "boxes_cut": 2, "boxes_outside": 1}


def test_a_box_that_leaves_the_image_is_cut_at_its_edge() -> None:
    assert Outline((), ((-3.0, -3.0, 5.0, 5.0),), SIDE).mask().sum() == 4


def test_runs_of_a_mask_give_the_mask_again() -> None:
    generator = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        mask = generator.random((7, 5)) < share
        np.testing.assert_array_equal(mask_of(runs_of(mask), 7, 5) > 0, mask)


def test_labels_and_outlines_must_agree(tmp_path) -> None:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 68, own_labels=True, drawn_truth=False)
    folder = tmp_path / "data" / "images" / "rsna_pneumonia"
    plain = read_labelled(folder, "segmentation")
    assert (plain.classes, len(plain), plain.oddities["boxes_cut"]) == (("pneumonia",), 64, 0)
    assert {key: count for key, count in plain.left_out.items() if count} == {"not_frontal": 4}
    table = read_table(folder / "annotations.parquet", "annotations")
    shown = plain.images["image_id"][plain.truth_NC[:, 0] == 1].tolist()
    empty = plain.images["image_id"][plain.truth_NC[:, 0] == 0].tolist()
    table = table[~((table["image_id"] == shown[0]) & (table["kind"] == "box"))]
    table.loc[(table["image_id"] == shown[1]) & (table["kind"] == "label"), "value"] = 0
    table.loc[(table["image_id"] == empty[0]) & (table["kind"] == "label"), "value"] = -1
    table.loc[table["image_id"] == empty[1], "image_id"] = "not there"
    write_table(folder / "annotations.parquet", table, "annotations")
    odd = read_labelled(folder, "segmentation")
    assert {key: count for key, count in odd.left_out.items() if count} == {
        "not_frontal": 4, "annotated_but_not_there": 1, "present_without_outline": 1, "outlined_but_labelled_absent": 1,
        "without_label": 2,
    }  # fmt: skip
    assert len(odd) == 60


def test_masks_empty_everywhere_are_no_segmentation(tmp_path) -> None:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 40, own_labels=True, drawn_truth=False)
    folder = tmp_path / "data" / "images" / "rsna_pneumonia"
    table = read_table(folder / "annotations.parquet", "annotations")
    table.loc[table["kind"] == "box", "x"] = 1000.0
    write_table(folder / "annotations.parquet", table, "annotations")
    with pytest.raises(ValueError, match=r"of its own that can be used \(.*\d+ boxes_outside\): a segmentation"):
        read_labelled(folder, "segmentation")
