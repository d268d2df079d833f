"""Masks as runs: which pixels they set, and where these come in a shard image."""

import cv2
import numpy as np
import pytest

from components.core.records.letterbox import Letterbox
from components.core.records.masks import mask_of, shard_mask_png


def test_runs_go_down_the_columns() -> None:
    assert mask_of("2 2", 2, 2).tolist() == [[0, 255], [0, 255]]
    assert mask_of("1 2 5 1", 3, 2).tolist() == [[0, 0], [255, 0], [255, 255]]
    assert not mask_of("", 3, 2).any()


def test_a_run_beyond_the_last_pixel() -> None:
    with pytest.raises(ValueError, match="a run of the mask ends at pixel 7 of 6"):
        mask_of("3 4", 3, 2)


def test_a_mask_lies_where_its_image_does() -> None:
    letterbox = Letterbox.of(80, 40, 40)
    png = shard_mask_png("0 1600", letterbox)  # the left half
    mask_SS = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.unique(mask_SS).tolist() == [0, 255]
    assert (mask_SS[:, 10:20] == 255).all()
    assert not mask_SS[:, :10].any()
    assert not mask_SS[:, 20:].any()


@pytest.mark.parametrize("runs", ["1640 2", "1640 1 1720 1 1800 1", "1640 40"])
def test_a_mask_smaller_or_thinner_than_a_pixel_is_not_lost(runs: str) -> None:
    letterbox = Letterbox.of(80, 80, 20)  # a pixel of the shard is 4 x 4 of the source
    mask_SS = cv2.imdecode(np.frombuffer(shard_mask_png(runs, letterbox), np.uint8), cv2.IMREAD_GRAYSCALE)
    covered_SS = mask_of(runs, 80, 80).reshape(20, 4, 20, 4).mean((1, 3))
    assert np.array_equal(mask_SS > 0, covered_SS == covered_SS.max())
