import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from components.core.metrics.estimate import PatientBootstrap
from components.core.metrics.ranking import auroc, auroc_estimate, average_precision, average_precision_estimate

FIGURES = [
    (auroc_estimate, roc_auc_score),
    (average_precision_estimate, average_precision_score),
]


def random_case(seed: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Truth with unknowns, scores (tied where they have few levels), and patients with one to four images."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(np.array([-1, 0, 1], np.int8), 90, p=[0.2, 0.5, 0.3])
    score = generator.random(90) * 0.6 + 0.3 * (truth == 1)
    if levels:
        score = np.round(score * levels) / levels
    return truth, score, [f"p{generator.integers(30)}" for _ in truth]


@pytest.mark.parametrize(("estimate_of", "oracle"), FIGURES)
@pytest.mark.parametrize("levels", [None, 5])
def test_every_resample_equals_scikit_learn_on_the_images_of_the_drawn_patients(estimate_of, oracle, levels) -> None:
    truth, score, patients = random_case(1, levels)
    bootstrap = PatientBootstrap(patients, 100, seed=5)
    estimate = estimate_of(truth, score, bootstrap)
    known = np.flatnonzero(truth >= 0)
    assert estimate.value == pytest.approx(oracle(truth[known], score[known]))
    for weights, sample in zip(bootstrap.weights(known), estimate.samples_R, strict=True):
        drawn = np.repeat(known, weights)  # an image as often as its patient was drawn
        assert sample == pytest.approx(oracle(truth[drawn], score[drawn]))


@pytest.mark.parametrize(("estimate_of", "oracle"), FIGURES)
def test_an_unknown_truth_changes_nothing(estimate_of, oracle) -> None:
    truth, score, patients = random_case(2)
    bootstrap = PatientBootstrap(patients, 100, seed=0)
    other = np.where(truth < 0, 1 - score, score)
    assert np.array_equal(
        estimate_of(truth, score, bootstrap).samples_R, estimate_of(truth, other, bootstrap).samples_R, equal_nan=True
    )


@pytest.mark.parametrize("figure", [auroc, average_precision])
@pytest.mark.parametrize("truth", [[1, 1, -1], [0, 0, -1], [-1, -1, -1]])
def test_a_figure_without_positives_or_negatives_is_undefined(figure, truth) -> None:
    assert np.isnan(figure(np.array(truth, np.int8), np.array([0.1, 0.2, 0.3])))


def test_resamples_without_a_positive_are_left_out_of_the_interval() -> None:
    truth = np.array([1, 0, 0, 0], np.int8)
    estimate = auroc_estimate(truth, np.array([0.9, 0.1, 0.2, 0.3]), PatientBootstrap(list("abcd"), 400, seed=0))
    share = np.isnan(estimate.samples_R).mean()
    assert 0.2 < share < 0.45  # (3/4)^4 of the resamples miss the only positive, a few have nothing else
    assert estimate.figure() == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_intervals_cover_the_true_area_about_as_often_as_they_promise() -> None:
    generator, shift = np.random.default_rng(8), 1.0
    true_area = norm.cdf(shift / np.sqrt(2))
    covered = 0
    for trial in range(200):
        truth = (np.arange(120) < 50).astype(np.int8)
        score = generator.normal(size=120) + shift * truth
        bootstrap = PatientBootstrap([f"p{n}" for n in range(120)], 300, seed=trial)
        figure = auroc_estimate(truth, score, bootstrap).figure()
        covered += figure["low"] <= true_area <= figure["high"]
    assert 0.90 <= covered / 200 <= 0.985
