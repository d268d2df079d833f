"""A mirrored image has mirrored labels."""

import numpy as np

from components.core.vocabulary import ANATOMIES, ANATOMY_INDEX, PATHOLOGIES, PATHOLOGY_INDEX
from components.pretrain.sides import swap_sides


def labels(**cells: int) -> np.ndarray:
    """A tensor with values of consolidation at the given anatomies."""
    labels_AP = np.full((len(ANATOMIES), len(PATHOLOGIES)), -1, np.int8)
    for anatomy, value in cells.items():
        labels_AP[ANATOMY_INDEX[anatomy], PATHOLOGY_INDEX["consolidation"]] = value
    return labels_AP


def test_left_and_right_change_places_and_the_midline_stays() -> None:
    before = labels(left_pleural=1, right_pleural=0, heart_size=1, lower_left_lobe=1)
    after = labels(right_pleural=1, left_pleural=0, heart_size=1, lower_right_lobe=1)
    np.testing.assert_array_equal(swap_sides(before), after)
    np.testing.assert_array_equal(swap_sides(after), before)


def test_the_labels_given_are_left_as_they_are() -> None:
    before = labels(left_pleural=1)
    swap_sides(before)
    np.testing.assert_array_equal(before, labels(left_pleural=1))


def test_the_middle_lobe_goes_where_the_lingula_is() -> None:
    np.testing.assert_array_equal(swap_sides(labels(middle_right_lobe=1)), labels(upper_left_lobe=1))
    both = labels(middle_right_lobe=1, upper_right_lobe=0)
    np.testing.assert_array_equal(swap_sides(both), labels(upper_left_lobe=1))


def test_what_is_certain_outweighs_what_is_soft() -> None:
    doubtful = labels(middle_right_lobe=2, upper_right_lobe=1)
    np.testing.assert_array_equal(swap_sides(doubtful), labels(upper_left_lobe=1))
    np.testing.assert_array_equal(swap_sides(labels(middle_right_lobe=2)), labels(upper_left_lobe=2))


def test_the_left_upper_lobe_tells_of_the_middle_lobe_only_when_it_is_clear() -> None:
    np.testing.assert_array_equal(swap_sides(labels(upper_left_lobe=1)), labels(upper_right_lobe=1))
    clear = labels(upper_left_lobe=0)
    np.testing.assert_array_equal(swap_sides(clear), labels(upper_right_lobe=0, middle_right_lobe=0))


def test_what_is_present_anywhere_stays_present() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        before = generator.integers(-1, 2, (len(ANATOMIES), len(PATHOLOGIES)), np.int8)
        np.testing.assert_array_equal((swap_sides(before) == 1).any(0), (before == 1).any(0))
