import cv2
import numpy as np
import pandas as pd
import pytest

from components.core.metrics.grounding import box_mask
from components.core.records.letterbox import Letterbox, map_box
from components.zero_shot.places import annotated_places, box_around, decoded_mask, drawn_places, mapped_mask
from components.zero_shot.truth import Drawn


def png(mask: np.ndarray) -> bytes:
    return cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()


def affine(letterbox: Letterbox) -> np.ndarray:
    return np.array(letterbox.affine).reshape(2, 3)


@pytest.mark.parametrize(("rows", "columns", "size"), [(96, 72, 48), (48, 48, 48), (301, 250, 64), (30, 20, 60)])
def test_a_mask_lands_where_its_pixels_land(rows, columns, size) -> None:
    source = np.zeros((rows, columns), bool)
    source[rows // 4 : rows // 2, columns // 5 : columns // 2] = True
    letterbox = Letterbox.of(rows, columns, size)
    drawn = letterbox.apply(source.astype(np.float32) * 255) > 127  # the way of the image itself
    mapped = mapped_mask(source, affine(letterbox), size)
    differing = np.logical_xor(drawn, mapped)
    edge = cv2.dilate(drawn.astype(np.uint8), np.ones((3, 3))) != cv2.erode(drawn.astype(np.uint8), np.ones((3, 3)))
    assert not (differing & ~edge).any()
    assert differing.sum() <= 0.06 * drawn.sum()
    box = map_box(letterbox.affine, columns // 5, rows // 4, columns // 2 - columns // 5, rows // 2 - rows // 4)
    assert np.allclose(box_around(mapped), box, atol=1.01)


def test_a_tiny_finding_is_not_lost() -> None:
    source = np.zeros((300, 300), bool)
    source[151, 203] = True
    mapped = mapped_mask(source, affine(Letterbox.of(300, 300, 30)), 30)
    assert np.argwhere(mapped).tolist() == [[15, 20]]


def test_a_mask_outside_the_image_is_empty() -> None:
    away = np.array([[1.0, 0, 500], [0, 1.0, 0]])
    assert not mapped_mask(np.ones((10, 10), bool), away, 16).any()


def test_the_parts_of_a_finding_are_one_place_and_lesser_parts_do_not_count() -> None:
    masks = [box_mask(1, 1, 4, 4, 20), box_mask(10, 12, 6, 2, 20), box_mask(0, 18, 2, 2, 20)]
    rows = []
    for mask, severity in zip(masks, (0.9, 0.5, 0.2), strict=True):
        x, y, width, height = box_around(mask)
        rows.append({"image_id": "a", "pathology": "effusion", "severity": severity, "affine": [1.0, 0, 0, 0, 1.0, 0],
                     "x": x, "y": y, "width": width, "height": height, "mask_png": png(mask)})  # fmt: skip
    rows.append({**rows[0], "pathology": "nodule"})
    (place,) = drawn_places(
        Drawn(pd.DataFrame(rows), frozenset({"a"})), ("effusion",), 0.5, {"a": Letterbox.of(20, 20, 20)}
    )
    assert np.array_equal(place.mask_SS, masks[0] | masks[1])
    assert place.boxes == ((1.0, 1.0, 4.0, 4.0), (10.0, 12.0, 6.0, 2.0))
    assert place.centre == (8.0, 8.0)  # the mean of (3, 3) and (13, 13)


def test_boxes_and_masks_of_the_dataset_are_places() -> None:
    mask = box_mask(2, 3, 4, 5, 16)
    rows = [("a", "box", "pneumonia", 1.0, 1.0, 2.0, 2.0, None), ("a", "box", "pneumonia", 8.0, 8.0, 4.0, 4.0, None),
            ("b", "mask", "pneumonia", None, None, None, None, png(mask)),
            ("c", "box", "pneumonia", 90.0, 90.0, 4.0, 4.0, None),
            ("d", "label", "pneumonia", None, None, None, None, None)]  # fmt: skip
    columns = ["image_id", "kind", "name", "x", "y", "width", "height", "mask_png"]
    rows.append(("of no radiograph", "box", "pneumonia", 1.0, 1.0, 2.0, 2.0, None))
    radiographs = {"a": Letterbox.of(16, 16, 16), "b": Letterbox.of(32, 16, 16), "c": Letterbox.of(16, 16, 16)}
    first, second, outside = annotated_places(pd.DataFrame(rows, columns=columns), ("pneumonia",), radiographs)
    assert first.mask_SS.sum() == 4 + 16
    assert second.boxes == ((2.0, 3.0, 4.0, 5.0),)
    assert np.array_equal(second.mask_SS, mask)
    assert (first.share, second.share) == (20 / 256, 10 / 128)  # the radiograph of b is as narrow as columns 4 to 11
    assert not outside.mask_SS.any()


def test_a_mask_that_is_no_png_is_refused() -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        decoded_mask(b"not a picture")
