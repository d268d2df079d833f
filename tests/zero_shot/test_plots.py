"""Which places are shown: by turns without looking at how they turned out, and by rule at both ends."""

import numpy as np

from components.core.records.letterbox import Letterbox
from components.zero_shot.places import Place
from components.zero_shot.plots import COLUMNS, chosen_places, extreme_places


def places(count: int) -> list[Place]:
    mask_SS, radiograph = np.ones((4, 4), bool), Letterbox.of(4, 4, 4)
    return [
        Place(f"image{number:02}", ("mass", "nodule")[number % 2], ((0, 0, 4, 4),), mask_SS, radiograph)
        for number in range(count)
    ]


def test_findings_take_turns() -> None:
    assert [(place.name, place.image_id) for place in chosen_places(places(6), 3)] == [
        ("mass", "image00"),
        ("nodule", "image01"),
        ("mass", "image02"),
    ]


def test_best_median_and_worst_are_chosen_by_dice() -> None:
    count = 5 * COLUMNS
    dice_N = np.random.default_rng(3).permutation(count) / count
    chosen = extreme_places(places(count), dice_N.tolist())
    shown = [float(words.rpartition(" ")[2]) for _, words in chosen]
    assert shown[:COLUMNS] == sorted(np.round(dice_N, 2), reverse=True)[:COLUMNS]
    assert shown[-COLUMNS:] == sorted(np.round(dice_N, 2), reverse=True)[-COLUMNS:]
    middle = shown[COLUMNS:-COLUMNS]
    assert min(middle) <= np.median(dice_N) <= max(middle)
    assert [words.split(":")[0] for _, words in chosen] == ["best"] * COLUMNS + ["median"] * COLUMNS + [
        "worst"
    ] * COLUMNS


def test_where_dice_is_not_known_nothing_is_chosen() -> None:
    assert extreme_places(places(20), [float("nan")] * 20) == []
    assert extreme_places(places(3 * COLUMNS - 1), [0.5] * (3 * COLUMNS - 1)) == []
