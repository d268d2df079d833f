"""One affine map an image: what it does to pixels whose place is known."""

import numpy as np
import pytest

from components.core.augmentation import Variation, draw
from components.core.params import Variations


def image(size: int = 64) -> np.ndarray:
    """A smooth image without any symmetry."""
    y, x = np.mgrid[0:size, 0:size] / size
    return (255 * (0.5 * x + 0.3 * y * y + 0.1 * (x > 0.7))).astype(np.uint8)


def test_no_variation_is_the_image_itself() -> None:
    np.testing.assert_array_equal(Variation().apply(image(), 64), image())


def test_a_flip_is_a_flip_to_the_pixel() -> None:
    np.testing.assert_array_equal(Variation(flip=True).apply(image(), 64), image()[:, ::-1])


def test_a_quarter_turn_is_a_quarter_turn_to_the_pixel() -> None:
    np.testing.assert_array_equal(Variation(radians=np.pi / 2).apply(image(), 64), np.rot90(image(), 1))


def test_a_crop_is_the_part_it_names() -> None:
    part = Variation(width=0.5, height=0.25, x=0.375, y=0.625).apply(image(), 32)
    expected = image()[32:48, 8:40]
    assert abs(part.mean() - expected.mean()) < 1
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert abs(float(part[corner]) - expected[corner]) <= 2


def test_a_mask_moves_with_its_image_and_keeps_its_levels() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 30:50] = 255
    strong = Variations(min_area=0.7, flip=0.5, rotation_degrees=10.0, contrast=0.4)
    for seed in range(20):
        variation = draw(strong, np.random.default_rng(seed))
        moved, varied = variation.moved(mask, 64) >= 128, variation.apply(mask, 64)
        assert moved.sum() > 300
        assert varied[moved].min() > varied[~moved].mean()
        assert np.corrcoef(moved.ravel(), varied.ravel())[0, 1] > 0.97


def test_what_lies_outside_is_black() -> None:
    turned = Variation(radians=np.pi / 4).apply(np.full((64, 64), 200, np.uint8), 64)
    assert turned[0, 0] == 0
    assert turned[32, 32] == 200


def test_gain_and_offset_are_about_middle_grey() -> None:
    flat = np.array([[0, 127], [128, 255]], np.uint8)
    np.testing.assert_array_equal(Variation(gain=0.5).apply(flat, 2), [[64, 127], [128, 191]])
    np.testing.assert_array_equal(Variation(offset=10.0).apply(flat, 2), [[10, 137], [138, 255]])


def test_draws_keep_to_the_settings_and_use_their_range() -> None:
    settings = Variations(min_area=0.6, flip=0.25, rotation_degrees=7.0, contrast=0.2)
    drawn = [draw(settings, np.random.default_rng(seed)) for seed in range(2000)]
    areas = np.array([v.width * v.height for v in drawn])
    degrees = np.rad2deg([v.radians for v in drawn])
    assert all(v.width / 2 <= v.x <= 1 - v.width / 2 and v.height / 2 <= v.y <= 1 - v.height / 2 for v in drawn)
    assert 0.6 <= areas.min() < 0.62
    assert 0.98 < areas.max() <= 1
    assert -7 <= degrees.min() < -6.5
    assert 6.5 < degrees.max() <= 7
    assert np.mean([v.flip for v in drawn]) == pytest.approx(0.25, abs=0.03)
    assert 0.8 <= min(v.gain for v in drawn) < 0.82
    assert draw(settings, np.random.default_rng(3)) == drawn[3]
