import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_iou

from components.core.metrics.grounding import box_mask, normalised, overlap, peak, points_into


def test_a_map_is_scaled_by_its_own_extremes() -> None:
    assert np.array_equal(normalised(np.array([[2.0, 4.0], [3.0, 2.0]])), [[0, 1], [0.5, 0]])
    assert np.array_equal(normalised(np.full((2, 2), 7.0)), np.zeros((2, 2)))


def test_the_peak_is_the_centre_of_a_pixel_as_x_and_y() -> None:
    heat = np.zeros((4, 6))
    heat[1, 4] = 1
    assert peak(heat) == (4.5, 1.5)


@pytest.mark.parametrize(
    ("point", "hit"),
    [((2.0, 1.0), True), ((4.99, 2.99), True), ((1.99, 1.5), False), ((5.0, 1.5), False), ((3.0, 3.0), False),
     ((-0.5, 1.5), False), ((3.0, 40.0), False)],
)  # fmt: skip
def test_pointing_has_no_tolerance(point, hit) -> None:
    assert points_into(point, box_mask(2, 1, 3, 2, size=8)) is hit


def test_a_box_covers_the_pixels_whose_centre_it_holds() -> None:
    mask = box_mask(1.0, 2.0, 3.0, 1.0, size=6)
    assert np.argwhere(mask).tolist() == [[2, 1], [2, 2], [2, 3]]
    assert np.argwhere(box_mask(1.6, 2.0, 2.0, 1.0, size=6)).tolist() == [[2, 2], [2, 3]]
    assert not box_mask(-9, -9, 3, 3, size=6).any()


def test_overlap_by_hand() -> None:
    truth = box_mask(0, 0, 4, 2, size=8)  # 8 pixels
    predicted = box_mask(2, 0, 4, 2, size=8)  # 8 pixels, 4 of them shared
    iou, dice = overlap(predicted, truth)
    assert iou == pytest.approx(4 / 12)
    assert dice == pytest.approx(8 / 16)
    several_iou, several_dice = overlap(np.stack([predicted, truth, np.zeros_like(truth)]), truth)
    assert several_iou == pytest.approx([1 / 3, 1, 0])
    assert several_dice == pytest.approx([1 / 2, 1, 0])


@pytest.mark.parametrize("seed", range(4))
def test_overlap_equals_monai_on_random_masks(seed) -> None:
    generator = np.random.default_rng(seed)
    predicted, truth = generator.random((6, 9, 11)) < 0.3, generator.random((6, 9, 11)) < 0.4
    truth[0] = predicted[0] = False
    pairs = [torch.from_numpy(masks)[:, None].float() for masks in (predicted, truth)]
    iou, dice = np.transpose([overlap(*pair) for pair in zip(predicted, truth, strict=True)])
    assert dice == pytest.approx(compute_dice(*pairs, ignore_empty=True).numpy()[:, 0], nan_ok=True)
    assert iou == pytest.approx(compute_iou(*pairs, ignore_empty=True).numpy()[:, 0], nan_ok=True)


def test_two_empty_masks_have_no_overlap_to_speak_of() -> None:
    nothing = np.zeros((3, 3), bool)
    assert all(np.isnan(value) for value in overlap(nothing, nothing))
