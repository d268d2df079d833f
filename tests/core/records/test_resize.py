import numpy as np

from components.core.records.resize import resized


def test_an_unvaried_image_shrinks_by_averaging() -> None:
    stripes = np.tile(np.array([0, 200], np.uint8), (64, 32))
    np.testing.assert_array_equal(resized(stripes, 32), np.full((32, 32), 100))
    assert resized(stripes, 64) is stripes
