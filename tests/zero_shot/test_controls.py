"""Controls: what knows nothing of the findings falls to chance, and what knows them does not."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from components.core.metrics.classification import Cases
from components.core.metrics.estimate import Estimate, PatientBootstrap
from components.core.metrics.grounding import box_mask
from components.core.metrics.ranking import auroc_estimate
from components.core.params import ZeroShot
from components.core.records.letterbox import Letterbox
from components.zero_shot.classification import Judged, figures_of
from components.zero_shot.grounding import MapOf, grounding_figures, map_reader
from components.zero_shot.places import Place
from components.zero_shot.predict import Answers, ClassAnswers, ask
from components.zero_shot.truth import Truth
from tests.evaluation_workspace import SIZE, untrained

NAMES = ("effusion", "nodule", "mass", "edema")
SIDE, SPOT = SIZE, 14
CORNERS = dict(zip(NAMES, [(4, 4), (30, 4), (4, 30), (30, 30)], strict=True))  # left and upper edge of each spot
SEEDS = range(12)


def spots(truth_NC: np.ndarray) -> np.ndarray:
    """Noise images with a bright spot for each finding, each finding in its own quarter."""
    generator = np.random.default_rng(11)
    images = generator.normal(110, 15, (len(truth_NC), SIDE, SIDE))
    for column, (x, y) in enumerate(CORNERS.values()):
        images[truth_NC[:, column] == 1, y : y + SPOT, x : x + SPOT] += 90
    return np.clip(images, 0, 255).astype(np.uint8)


def macro(cases: Cases) -> dict:
    bootstrap = PatientBootstrap(cases.patients, 400, seed=0)
    return Estimate.mean([auroc_estimate(*cases.column(name), bootstrap) for name in cases.names]).figure()


def case_of(score_NC: np.ndarray, truth_NC: np.ndarray) -> Cases:
    return Cases(NAMES, tuple(f"p{n // 2}" for n in range(len(truth_NC))), truth_NC, score_NC)


def setting() -> tuple[np.ndarray, np.ndarray]:
    truth_NC = np.random.default_rng(5).choice(np.array([0, 1], np.int8), (160, 4), p=[0.6, 0.4])
    return truth_NC, spots(truth_NC)


@cache
def untrained_answers(seed: int) -> Answers:
    _, images = setting()
    batches = (torch.from_numpy(images[start : start + 40])[:, None] for start in range(0, len(images), 40))
    return ask(untrained(seed), batches, list(map(str, range(len(images)))), NAMES, torch.device("cpu"))


def quarters(images: np.ndarray) -> np.ndarray:
    """What one who knows where to look sees: the mean grey level of each quarter."""
    half = SIDE // 2
    halves = [images[:, :half], images[:, half:]]
    return np.stack([part[:, :, side].mean((1, 2)) for part in halves for side in (slice(half), slice(half, None))], 1)


def test_one_who_knows_where_to_look_is_far_from_chance() -> None:
    truth_NC, images = setting()
    assert macro(case_of(quarters(images), truth_NC))["low"] > 0.95


def standard_error(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def test_an_untrained_model_is_at_chance_over_seeds() -> None:
    truth_NC, _ = setting()
    values = [macro(case_of(untrained_answers(seed).score_NQ, truth_NC))["value"] for seed in SEEDS]
    assert abs(np.mean(values) - 0.5) < 3 * standard_error(values) + 0.01
    precise = [judged_figures(truth_NC, untrained_answers(seed).score_NQ)["average_precision"] for seed in SEEDS]
    excess = [figure["macro"]["value"] - np.mean(list(prevalence(figure).values())) for figure in precise]
    assert abs(np.mean(excess)) < 3 * standard_error(excess) + 0.03  # of few images it lies a little above


def places_of(truth_NC: np.ndarray) -> dict[str, list[Place]]:
    """The spots of the findings that are there, by split."""
    found: dict[str, list[Place]] = {"train": [], "validate": [], "test": []}
    for number, row in enumerate(truth_NC):
        split = ("train", "validate", "test", "test")[number // 2 % 4]
        for name in np.array(NAMES)[row == 1]:
            box = (*map(float, CORNERS[name]), float(SPOT), float(SPOT))
            found[split].append(
                Place(str(number), str(name), (box,), box_mask(*box, SIDE), Letterbox.of(SIDE, SIDE, SIDE))
            )
    return found


def pointed(map_of: MapOf) -> dict:
    truth_NC, _ = setting()
    patients = {str(number): f"p{number // 2}" for number in range(len(truth_NC))}
    return grounding_figures(places_of(truth_NC), map_of, patients, samples=100, seed=0)


def test_the_maps_of_untrained_models_find_no_more_than_chance_over_seeds() -> None:
    def map_of_seed(seed: int) -> MapOf:
        answers = untrained_answers(seed)
        own = ClassAnswers(NAMES, answers.score_NQ, np.tile(np.arange(len(NAMES)), (len(answers.image_ids), 1)))
        return map_reader(answers, own)

    known = pointed(lambda place: place.mask_SS.astype(np.float32))
    untaught = [pointed(map_of_seed(seed)) for seed in SEEDS]
    for name in ("pointing_game", "iou", "dice"):
        chance, values = known[name]["chance"]["value"], [figures[name]["value"] for figures in untaught]
        assert known[name]["value"] == pytest.approx(1)
        assert np.mean(values) < chance + 3 * standard_error(values) + 0.02, (name, chance, values)


def test_shuffled_labels_are_at_chance() -> None:
    truth_NC, images = setting()
    shuffled_NC = truth_NC[np.random.default_rng(9).permutation(len(truth_NC))]
    figure = macro(case_of(quarters(images), shuffled_NC))
    assert figure["low"] < 0.5 < figure["high"]


def test_shuffled_labels_are_at_chance_in_every_figure_that_knows_something() -> None:
    truth_NC, images = setting()
    known = judged_figures(truth_NC, quarters(images) / 255)
    order = np.random.default_rng(9).permutation(len(truth_NC))
    shuffled = judged_figures(truth_NC[order], quarters(images) / 255)
    for name in ("auroc", "average_precision", "f1", "accuracy"):
        assert known[name]["macro"]["low"] > shuffled[name]["macro"]["high"], name
    shares = prevalence(shuffled["average_precision"])
    for name, row in shuffled["average_precision"]["per_class"].items():
        assert abs(row["value"] - shares[name]) < 0.15
    for groups in shuffled["subgroups"].values():
        for figure in groups.values():
            assert figure["low"] < 0.5 < figure["high"]


def prevalence(figure: dict) -> dict[str, float]:
    """The share of positives of each class: what average precision falls to."""
    return {name: row["positives"] / (row["positives"] + row["negatives"]) for name, row in figure["per_class"].items()}


def judged_figures(truth_NC: np.ndarray, scores: np.ndarray) -> dict:
    """The figures of the stage, on patients of two splits and two sexes."""
    count = len(truth_NC)
    table = pd.DataFrame({
        "split": ["validate" if n % 4 < 2 else "test" for n in range(count)],
        "patient_id": [f"p{n // 2}" for n in range(count)], "sex": ["F" if n % 8 < 4 else "M" for n in range(count)],
        "age_band": None, "view": None, "scanner": None, "origin": None,
    })  # fmt: skip
    answers = ClassAnswers(NAMES, scores, np.zeros(scores.shape, np.intp))
    section = ZeroShot(
        batch=8, threads=1, bootstrap=200, seed=0, min_positives=5, min_severity=0.5, overlays=0, open_vocabulary={}
    )
    return figures_of(Judged(table, Truth.plain("label", NAMES, truth_NC), answers), section)
