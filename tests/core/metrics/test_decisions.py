import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score

from components.core.metrics.classification import Cases, apart, decision_figures, declared, ranking_figures, undefined
from components.core.metrics.decisions import (
    best_f1_threshold,
    brier_score,
    calibration_error,
    f1_and_accuracy,
    reliability,
)
from components.core.metrics.estimate import Estimate, PatientBootstrap


def random_case(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    truth = generator.choice(np.array([-1, 0, 1], np.int8), count)
    score = np.clip(np.round(0.5 * generator.random(count) + 0.4 * (truth == 1), 2), 0, 1)
    return truth, score, [f"p{n // 2}" for n in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_best_of_all_that_could_be_chosen(seed) -> None:
    truth, score, _ = random_case(seed)
    known = truth >= 0
    best = max(f1_score(truth[known], score[known] >= candidate) for candidate in np.unique(score))
    threshold = best_f1_threshold(truth, score)
    assert f1_score(truth[known], score[known] >= threshold) == pytest.approx(best)


def test_a_published_threshold_calls_the_score_that_set_it() -> None:
    truth, score = np.array([0, 1, 1], np.int8), np.array([0.1, 0.9590296, 0.9590298])
    threshold = best_f1_threshold(truth, score)
    assert threshold == 0.959029
    assert f1_score(truth, score >= threshold) == 1.0


def test_without_positives_there_is_no_threshold() -> None:
    assert best_f1_threshold(np.array([0, 0, -1], np.int8), np.array([0.1, 0.5, 0.9])) is None


def test_f1_and_accuracy_equal_scikit_learn_on_every_resample() -> None:
    truth, score, patients = random_case(3)
    bootstrap = PatientBootstrap(patients, 100, seed=0)
    f1, accuracy = f1_and_accuracy(truth, score, 0.5, bootstrap)
    known = np.flatnonzero(truth >= 0)
    assert f1.value == pytest.approx(f1_score(truth[known], score[known] >= 0.5))
    assert accuracy.value == pytest.approx(accuracy_score(truth[known], score[known] >= 0.5))
    for number, weights in enumerate(bootstrap.weights(known)):
        drawn = np.repeat(known, weights)
        assert f1.samples_R[number] == pytest.approx(f1_score(truth[drawn], score[drawn] >= 0.5))
        assert accuracy.samples_R[number] == pytest.approx(accuracy_score(truth[drawn], score[drawn] >= 0.5))


def test_calibration_error_equals_a_loop_over_the_bins() -> None:
    truth, score, patients = random_case(4, 200)
    known = truth >= 0
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = known & (np.floor(score * 10).clip(max=9) / 10 == low)
        if inside.any():
            expected += inside.sum() / known.sum() * abs(score[inside].mean() - truth[inside].mean())
    assert calibration_error(truth, score, PatientBootstrap(patients, 100, 0)).value == pytest.approx(expected)


def test_the_interval_of_a_calibration_error_holds_it() -> None:
    generator = np.random.default_rng(0)
    bootstrap = PatientBootstrap([str(n) for n in range(60)], 400, seed=0)
    classes = []
    for _ in range(30):
        score = generator.random(60)
        truth = (generator.random(60) < score).astype(np.int8)  # calibrated, so that every distance is chance
        classes.append(calibration_error(truth, score, bootstrap))
    for estimate in (*classes, Estimate.mean(classes)):
        figure = estimate.figure()
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"]


def test_the_brier_score_equals_scikit_learn_on_every_resample() -> None:
    truth, score, patients = random_case(5)
    bootstrap = PatientBootstrap(patients, 100, seed=0)
    brier, known = brier_score(truth, score, bootstrap), np.flatnonzero(truth >= 0)
    assert brier.value == pytest.approx(brier_score_loss(truth[known], score[known]))
    for number, weights in enumerate(bootstrap.weights(known)):
        drawn = np.repeat(known, weights)
        assert brier.samples_R[number] == pytest.approx(np.mean((score[drawn] - truth[drawn]) ** 2))


def test_a_perfectly_calibrated_score_has_no_error_and_lies_on_the_diagonal() -> None:
    score = np.repeat([0.25, 0.75], 40)
    truth = np.concatenate([np.arange(40) % 4 == 0, np.arange(40) % 4 != 0]).astype(np.int8)
    bootstrap = PatientBootstrap([str(n) for n in range(80)], 100, 0)
    assert calibration_error(truth, score, bootstrap).value == pytest.approx(0)
    assert reliability(truth, score) == [
        {"probability": 0.25, "positives": 0.25, "count": 40},
        {"probability": 0.75, "positives": 0.75, "count": 40},
    ]


def cases(seed: int, positives: int = 20) -> Cases:
    generator = np.random.default_rng(seed)
    truth = np.stack([np.arange(60) < positives, np.arange(60) < 3], 1).astype(np.int8)
    return Cases(("common", "rare"), tuple(f"p{n}" for n in range(60)), truth, generator.random((60, 2)))


def test_rare_classes_stand_apart_with_their_counts() -> None:
    names = declared(cases(0), at_least=10)
    assert names == ("common",)
    assert apart(cases(0), names) == {"rare": {"positives": 3, "negatives": 57, "why": "too few for a figure"}}
    figures = ranking_figures(cases(0), names, PatientBootstrap(cases(0).patients, 100, 0))
    assert set(figures["auroc"]["per_class"]) == {"common"}
    assert figures["auroc"]["per_class"]["common"]["positives"] == 20
    assert figures["auroc"]["macro"]["value"] == figures["auroc"]["per_class"]["common"]["value"]


def test_many_images_of_few_patients_are_few() -> None:
    many = cases(0)
    patients = tuple(f"p{number % 9 if number < 20 else number}" for number in range(60))  # nine with a positive
    assert declared(many, at_least=10) == ("common",)
    assert declared(Cases(many.names, patients, many.truth_NC, many.score_NC), at_least=10) == ()


def test_few_negatives_stand_apart_as_few_positives_do() -> None:
    assert declared(cases(0, positives=55), at_least=10) == ()


def test_a_macro_over_nothing_is_null() -> None:
    figures = ranking_figures(cases(0), (), PatientBootstrap(cases(0).patients, 100, 0))
    nothing = undefined("no class has enough positives and negatives for a figure")
    assert figures["auroc"] == {"macro": {**nothing, "classes": 0}, "per_class": {}}


def test_a_class_absent_from_the_split_says_so_and_is_no_0() -> None:
    nothing = Cases(("gone",), ("a", "b"), np.zeros((2, 1), np.int8), np.random.default_rng(0).random((2, 1)))
    assert apart(nothing, ()) == {"gone": {"positives": 0, "negatives": 2, "why": "the split has no positives"}}


def test_thresholds_see_the_validation_patients_only() -> None:
    test, validation = cases(1), cases(2)
    bootstrap = PatientBootstrap(test.patients, 100, 0)
    figures = decision_figures(test, validation, ["common"], bootstrap)
    relabelled = Cases(test.names, test.patients, (1 - test.truth_NC).astype(np.int8), test.score_NC)
    other = decision_figures(relabelled, validation, ["common"], bootstrap)
    assert other["thresholds"] == figures["thresholds"]
    assert other["accuracy"] != figures["accuracy"]
    shifted = Cases(validation.names, validation.patients, validation.truth_NC, validation.score_NC * 0.5)
    assert decision_figures(test, shifted, ["common"], bootstrap)["thresholds"] != figures["thresholds"]


def test_a_class_without_validation_positives_has_null_figures() -> None:
    test = cases(1)
    nothing = Cases(test.names, test.patients, np.zeros_like(test.truth_NC), test.score_NC)
    figures = decision_figures(test, nothing, ["common"], PatientBootstrap(test.patients, 100, 0))
    assert figures["f1"]["macro"]["classes"] == 0
    assert figures["thresholds"]["per_class"]["common"] == {"value": None, "positives": 0, "negatives": 60}
    assert figures["f1"]["per_class"]["common"]["value"] is None
    assert "no threshold" in figures["f1"]["per_class"]["common"]["why"]
    assert figures["f1"]["macro"]["value"] is None
