"""The letterbox: what goes where, and its affine."""

import cv2
import numpy as np
import pytest

from components.core.records.letterbox import Letterbox, map_box


@pytest.mark.parametrize(
    ("rows", "columns", "place"),
    [(100, 50, (32, 16, 0, 8)), (50, 100, (16, 32, 8, 0)), (64, 64, (32, 32, 0, 0)), (8, 4, (32, 16, 0, 8))],
)
def test_aspect_is_kept_and_the_rest_is_black(rows: int, columns: int, place: tuple[int, int, int, int]) -> None:
    letterbox = Letterbox.of(rows, columns, 32)
    assert (letterbox.height, letterbox.width, letterbox.top, letterbox.left) == place
    image_SS = letterbox.apply(np.full((rows, columns), 200, np.float32))
    height, width, top, left = place
    expected = np.zeros((32, 32), np.uint8)
    expected[top : top + height, left : left + width] = 200
    np.testing.assert_array_equal(image_SS, expected)


def test_a_sliver_keeps_a_pixel() -> None:
    assert Letterbox.of(1, 5000, 32).apply(np.full((1, 5000), 9, np.float32)).sum() == 32 * 9


def test_downsampling_is_the_mean_of_the_area() -> None:
    image_HW = np.random.default_rng(0).uniform(0, 255, (64, 64)).astype(np.float32)
    means = image_HW.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(Letterbox.of(64, 64, 16).apply(image_HW), means, atol=0.51)


@pytest.mark.parametrize(("rows", "columns"), [(333, 251), (250, 401), (20, 13)])
def test_the_affine_takes_pixel_centres_to_where_the_pixels_went(rows: int, columns: int) -> None:
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    blob_HW = 255 * np.exp(-((x - columns * 0.6) ** 2 + (y - rows * 0.3) ** 2) / (2 * (0.06 * rows) ** 2))
    letterbox = Letterbox.of(rows, columns, 96)
    image_SS = letterbox.apply(blob_HW.astype(np.float32)).astype(float)
    y_S, x_S = np.mgrid[0:96, 0:96]
    centroid = [(image_SS * axis).sum() / image_SS.sum() for axis in (x_S, y_S)]
    source = [(blob_HW * axis).sum() / blob_HW.sum() for axis in (x, y)]
    affine_23 = np.array(letterbox.affine).reshape(2, 3)
    np.testing.assert_allclose(centroid, affine_23 @ [*source, 1], atol=0.05)


def test_the_affine_is_the_one_of_opencv() -> None:
    ramp_HW = np.add.outer(np.arange(40), 2 * np.arange(30)).astype(np.float32)
    letterbox = Letterbox.of(40, 30, 80)
    warped_SS = cv2.warpAffine(ramp_HW, np.array(letterbox.affine).reshape(2, 3), (80, 80), flags=cv2.INTER_LINEAR)
    inside = np.s_[4:-4, letterbox.left + 4 : letterbox.left + letterbox.width - 4]
    np.testing.assert_allclose(letterbox.apply(ramp_HW)[inside], warped_SS[inside], atol=0.6)


def test_a_box_covers_the_pixels_that_it_covered() -> None:
    mask_HW = np.zeros((400, 300), np.float32)
    mask_HW[80:200, 60:90] = 255
    letterbox = Letterbox.of(400, 300, 100)
    x, y, width, height = map_box(letterbox.affine, 60, 80, 30, 120)
    rows, columns = np.nonzero(letterbox.apply(mask_HW) > 127)
    assert (x, width) == pytest.approx((columns.min(), columns.max() + 1 - columns.min()), abs=0.51)
    assert (y, height) == pytest.approx((rows.min(), rows.max() + 1 - rows.min()), abs=0.51)
    assert map_box(letterbox.affine, 0, 0, 300, 400) == pytest.approx((12.5, 0, 75, 100), abs=0.51)
