import numpy as np
import pytest
import torch

from components.core.metrics.grounding import box_mask, peak, points_into
from components.core.records.letterbox import Letterbox
from components.zero_shot.grounding import (
    best_threshold,
    grounding_figures,
    map_reader,
    mean_positions,
    overlaps,
    paired_difference,
)
from components.zero_shot.places import Place
from components.zero_shot.predict import Answers, both_streams, by_class

SIZE = 32


def place(image: str, box: tuple[float, float, float, float], name: str = "effusion") -> Place:
    return Place(image, name, (box,), box_mask(*box, SIZE), Letterbox.of(SIZE, SIZE, SIZE))


def pointing_at(points: dict[str, tuple[int, int]]):
    """A map of each image whose largest value is at (x, y)."""

    def map_of(asked: Place) -> np.ndarray:
        x, y = points[asked.image_id]
        rows, columns = np.mgrid[:SIZE, :SIZE]
        return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 20)

    return map_of


TRAIN = [place("t1", (0, 0, 8, 8)), place("t2", (16, 16, 8, 8))]  # mean position (12, 12)


def figures(places: dict[str, list[Place]], points: dict[str, tuple[int, int]]) -> dict:
    patients = {name: f"patient of {name}" for name in points}
    return grounding_figures(places, pointing_at(points), patients, samples=200, seed=0)


def test_pointing_is_compared_with_the_mean_position_place_by_place() -> None:
    test = [place("a", (2, 2, 4, 4)), place("b", (10, 10, 4, 4)), place("c", (20, 4, 8, 8)), place("d", (1, 20, 5, 5))]
    points = {"a": (3, 3), "b": (11, 12), "c": (22, 5), "d": (30, 30)}  # hit, hit, hit, miss; the mean hits b alone
    game = figures({"train": TRAIN, "validate": [], "test": test}, points)["pointing_game"]
    assert (game["value"], game["n"]) == (0.75, 4)
    assert game["baseline_mean_position"]["value"] == 0.25
    assert game["difference"]["value"] == 0.5
    # The mean mask is largest on both training boxes; the first such pixel, (0, 0), lies in no test place.
    assert game["baseline_commonest_place"]["value"] == 0.0
    assert game["difference_to_commonest_place"]["value"] == 0.75
    assert game["difference"]["low"] <= 0.5 <= game["difference"]["high"]
    areas = [16, 16, 64, 25]  # of 32 x 32 pixels
    assert game["chance"]["value"] == pytest.approx(np.mean(areas) / 1024, abs=1e-6)
    own = {"baseline": 0.25, "chance": game["chance"]["value"], "n": 4}
    assert game["per_class"] == {"effusion": {**{name: game[name] for name in ("value", "low", "high")}, **own}}


def test_a_finding_without_training_image_stays_out_of_the_comparison() -> None:
    test = [place("a", (2, 2, 4, 4)), place("b", (10, 10, 4, 4), "nodule")]
    game = figures({"train": TRAIN, "validate": [], "test": test}, {"a": (3, 3), "b": (30, 30)})["pointing_game"]
    assert (game["value"], game["n"]) == (0.5, 2)
    assert (game["difference"]["value"], game["difference"]["n"]) == (1.0, 1)
    nodule = {"value": 0.0, "low": 0.0, "high": 0.0, "baseline": None, "chance": round(16 / 1024, 6), "n": 1}
    assert game["per_class"]["nodule"] == nodule
    alone = figures({"train": [], "validate": [], "test": test}, {"a": (3, 3), "b": (30, 30)})["pointing_game"]
    for name in ("baseline_mean_position", "difference"):
        assert (alone[name]["value"], alone[name]["why"]) == (None, "no training image shows where these findings are")


def test_mean_positions_are_of_box_centres() -> None:
    assert mean_positions(TRAIN) == {"effusion": (12.0, 12.0)}


def test_the_threshold_of_overlap_comes_from_validation_only() -> None:
    points = dict.fromkeys("vab", (14, 14))
    validation = [place("v", (10, 10, 9, 9))]
    narrow = figures({"train": TRAIN, "validate": validation, "test": [place("a", (13, 13, 3, 3))]}, points)
    wide = figures({"train": TRAIN, "validate": validation, "test": [place("b", (4, 4, 20, 20))]}, points)
    assert narrow["dice"]["threshold"] == wide["dice"]["threshold"] == best_threshold(validation, pointing_at(points))
    assert narrow["dice"]["value"] != wide["dice"]["value"]
    other = figures(
        {"train": TRAIN, "validate": [place("v", (13, 13, 3, 3))], "test": [place("a", (13, 13, 3, 3))]}, points
    )
    assert other["dice"]["threshold"] > narrow["dice"]["threshold"]
    assert other["dice"]["value"] > narrow["dice"]["value"]


def test_a_map_without_knowledge_gets_the_chance_that_stands_beside_each_figure() -> None:
    """Any pixel as the peak hits, and the whole image overlaps, as the figures' chance says."""
    test = [place(name, (2 * number, 3, 5 + number, 9)) for number, name in enumerate("abcdefgh")]
    everything = [{place.image_id: (x, y) for place in test} for x in range(0, SIZE, 3) for y in range(0, SIZE, 3)]
    games = [figures({"train": TRAIN, "validate": [], "test": test}, points)["pointing_game"] for points in everything]
    assert np.mean([game["value"] for game in games]) == pytest.approx(games[0]["chance"]["value"], abs=0.02)
    found = figures(
        {"train": TRAIN, "validate": TRAIN, "test": test},
        dict.fromkeys("abcdefgh", (3, 3)) | {"t1": (3, 3), "t2": (3, 3)},
    )
    iou_N, dice_N = overlaps(test, pointing_at(dict.fromkeys("abcdefgh", (3, 3))), np.array([-1.0]))[:, :, 0].T
    assert found["iou"]["chance"]["value"] == pytest.approx(iou_N.mean(), abs=1e-6)
    assert found["dice"]["chance"]["value"] == pytest.approx(dice_N.mean(), abs=1e-6)


def test_the_bars_beside_a_radiograph_are_no_part_of_it() -> None:
    """Neither does a map look there, nor do they make chance smaller."""
    maps = np.zeros((1, 1, 4, 4), np.float32)
    maps[0, 0, 3, 0], maps[0, 0, 1, 1] = 9, 5  # the largest value lies left of a radiograph of half the width
    answers = Answers(("a",), ("effusion",), np.array([[0.9]]), maps, maps)
    narrow = Place("a", "effusion", ((8, 8, 8, 8),), box_mask(8, 8, 8, 8, SIZE), Letterbox.of(SIZE, SIZE // 2, SIZE))
    shown = map_reader(answers, by_class(answers, {"effusion": ("effusion",)}))(narrow)
    assert (shown.max(), shown[:, :8].max(), shown[:, 24:].max()) == (1, 0, 0)
    assert points_into(peak(shown), narrow.mask_SS)
    assert narrow.share == 8 * 8 / (32 * 16)


def test_overlaps_are_compared_with_the_mean_mask_of_training_images() -> None:
    """Its threshold comes from validation places: there the part that both training masks share fits best."""
    train = [place("t1", (0, 0, 8, 8)), place("t2", (4, 0, 8, 8))]
    validate, test = [place("v", (4, 0, 4, 8))], [place("a", (4, 0, 4, 8)), place("b", (4, 0, 4, 8), "nodule")]
    found = figures({"train": train, "validate": validate, "test": test}, dict.fromkeys("abv", (6, 4)))
    for name in ("iou", "dice"):
        assert found[name]["baseline_mean_mask"]["value"] == 1.0  # of the effusion alone
        assert -1 < found[name]["difference"]["value"] < 0
    alone = figures({"train": [], "validate": validate, "test": test}, dict.fromkeys("abv", (6, 4)))
    assert alone["dice"]["baseline_mean_mask"]["why"] == "no training image shows where these findings are"


def test_without_validation_places_there_is_no_overlap_figure() -> None:
    result = figures({"train": TRAIN, "validate": [], "test": [place("a", (13, 13, 3, 3))]}, {"a": (14, 14)})
    assert result["dice"] == result["iou"]
    assert (result["dice"]["value"], result["dice"]["n"]) == (None, 1)
    assert result["dice"]["why"] == "no place in the validation split to choose the threshold by"


def test_without_test_places_every_figure_is_null_and_says_why() -> None:
    result = figures({"train": TRAIN, "validate": [], "test": []}, {})
    assert {name: (figure["value"], figure["why"]) for name, figure in result.items()} == dict.fromkeys(
        ("pointing_game", "iou", "dice"), (None, "no place in the test split")
    )


def test_both_streams_look_where_the_anatomies_of_a_pathology_are() -> None:
    attention = torch.tensor([[[0.4, 0.4, 0.2]]])  # one pathology looks at the first two of three patches
    anatomies = torch.tensor([[[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]]])
    places = torch.tensor([[[0.01], [0.99]]])  # and is at the second of two anatomies
    assert both_streams(attention, places, anatomies).argmax().item() == 1
    uniform = torch.full((1, 2, 3), 1 / 3)
    assert torch.allclose(both_streams(attention, places, uniform), attention / 3)


def test_a_gain_is_paired_over_the_same_places() -> None:
    test = [place(name, (2, 2, 4, 4)) for name in "abcd"]
    patient_of = {name: name for name in "abcd"}
    hit = pointing_at(dict.fromkeys("abcd", (3, 3)))
    half = pointing_at({"a": (3, 3), "b": (3, 3), "c": (20, 20), "d": (20, 20)})
    assert paired_difference(hit, half, test, patient_of, 200, 0)["value"] == 0.5
    assert paired_difference(hit, hit, test, patient_of, 200, 0) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_lower_threshold_never_shrinks_the_predicted_place() -> None:
    iou_T, dice_T = overlaps([place("a", (0, 0, 32, 32))], pointing_at({"a": (14, 14)}), np.array([0.1, 0.5, 0.9]))[0]
    assert (np.diff(iou_T) < 0).all()
    assert (np.diff(dice_T) < 0).all()
    assert dice_T == pytest.approx(2 * iou_T / (1 + iou_T))


def test_the_likeliest_pathology_speaks_for_a_class_and_shows_its_own_map() -> None:
    maps = np.zeros((2, 2, 4, 4), np.float32)
    maps[:, 0, 0, 0] = maps[:, 1, 3, 3] = 5
    answers = Answers(("a", "b"), ("opacity", "consolidation"), np.array([[0.9, 0.2], [0.1, 0.3]]), maps, maps)
    classes = by_class(answers, {"pneumonia": ("opacity", "consolidation"), "consolidation": ("consolidation",)})
    assert classes.score_NC.tolist() == [[0.9, 0.2], [0.3, 0.3]]
    map_of = map_reader(answers, classes)
    first, second = map_of(place("a", (0, 0, 4, 4), "pneumonia")), map_of(place("b", (0, 0, 4, 4), "pneumonia"))
    assert (first[0, 0], first[-1, -1]) == (1, 0)
    assert (second[0, 0], second[-1, -1]) == (0, 1)
