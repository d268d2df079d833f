import numpy as np
import pytest

from components.core.metrics.estimate import Estimate, PatientBootstrap, mean_estimate, over_seeds
from components.core.metrics.ranking import auroc_estimate


def test_all_images_of_a_patient_come_along_together() -> None:
    patients = ["a", "b", "a", "c", "b", "a"]
    bootstrap = PatientBootstrap(patients, 200, seed=0)
    weights = bootstrap.weights(np.arange(6))
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 0], weights[:, 5])
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()  # as many patients are drawn as there are


def test_copies_of_a_patients_images_do_not_narrow_the_interval() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(40) % 2
    score = generator.normal(size=40) + truth
    patients = [f"p{n:02d}" for n in range(40)]
    one = auroc_estimate(truth.astype(np.int8), score, PatientBootstrap(patients, 500, seed=1)).figure()
    ten = auroc_estimate(
        np.repeat(truth, 10).astype(np.int8), np.repeat(score, 10), PatientBootstrap(np.repeat(patients, 10), 500, 1)
    ).figure()
    images = [f"i{n}" for n in range(400)]
    as_images = auroc_estimate(
        np.repeat(truth, 10).astype(np.int8), np.repeat(score, 10), PatientBootstrap(images, 500, 1)
    ).figure()
    assert ten == one
    assert as_images["high"] - as_images["low"] < 0.6 * (one["high"] - one["low"])


def test_the_order_of_the_images_does_not_matter_and_the_seed_does() -> None:
    generator = np.random.default_rng(2)
    values, patients = generator.normal(size=30), np.array([f"p{n // 2}" for n in range(30)])
    order = generator.permutation(30)
    figure = mean_estimate(values, PatientBootstrap(patients, 300, seed=0)).figure()
    assert mean_estimate(values[order], PatientBootstrap(patients[order], 300, seed=0)).figure() == figure
    assert mean_estimate(values, PatientBootstrap(patients, 300, seed=1)).figure() != figure


def test_a_difference_is_paired() -> None:
    generator = np.random.default_rng(3)
    patients = [f"p{n}" for n in range(60)]
    shared = generator.normal(size=60) * 10  # what makes patients easy or hard for both
    bootstrap = PatientBootstrap(patients, 500, seed=0)
    better, worse = (
        mean_estimate(shared + 1, bootstrap),
        mean_estimate(shared + generator.normal(size=60) / 10, bootstrap),
    )
    difference = (better - worse).figure()
    assert difference["low"] > 0.9  # clear, although the two intervals overlap widely
    assert better.figure()["low"] < worse.figure()["high"]
    assert (better - better).figure() == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_mean_of_classes_skips_what_a_resample_does_not_define() -> None:
    first = Estimate(0.6, np.array([0.5, np.nan, np.nan]))
    second = Estimate(0.8, np.array([0.7, 0.9, np.nan]))
    mean = Estimate.mean([first, second])
    assert mean.value == pytest.approx(0.7)
    assert mean.samples_R[:2] == pytest.approx([0.6, 0.9])
    assert np.isnan(mean.samples_R[2])


def test_means_leave_out_what_is_unknown() -> None:
    estimate = mean_estimate(np.array([1.0, np.nan, 3.0]), PatientBootstrap(["a", "b", "c"], 100, seed=0))
    assert estimate.value == 2.0
    assert np.nanmax(estimate.samples_R) <= 3.0


def test_an_undefined_figure_is_null_not_a_number() -> None:
    assert Estimate(float("nan"), np.full(3, np.nan)).figure() == {"value": None, "low": None, "high": None}


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        PatientBootstrap([], 100, seed=0)


def test_seeds_are_drawn_as_patients_are() -> None:
    """Two seeds without any spread over patients: the variance is that of a mean of two, s² / 2."""
    seeds = [Estimate(value, np.full(20_000, value)) for value in (0.6, 0.8)]
    mean = over_seeds(seeds, seed=3)
    assert mean.value == pytest.approx(0.7)
    assert mean.samples_R.mean() == pytest.approx(0.7, abs=0.003)
    assert mean.samples_R.var() == pytest.approx(np.var([0.6, 0.8], ddof=1) / 2, rel=0.05)
    alone = over_seeds(seeds[:1], seed=3)
    assert alone.samples_R.tolist() == seeds[0].samples_R.tolist()


def test_seeds_are_paired_in_differences() -> None:
    """Both cells get the same seeds drawn: a difference that every seed agrees on has no spread of seeds."""
    mine = [Estimate(value, np.full(100, value)) for value in (0.6, 0.8)]
    other = [Estimate(value - 0.1, np.full(100, value - 0.1)) for value in (0.6, 0.8)]
    gain = over_seeds(mine, seed=3) - over_seeds(other, seed=3)
    np.testing.assert_allclose(gain.samples_R, 0.1)
