"""The benchmark of evaluation measures what the stage does, and the plain loop gives the same figures."""

import numpy as np
import pytest

from benchmarks import evaluate
from components.core.metrics.estimate import PatientBootstrap
from components.core.metrics.ranking import auroc_estimate
from components.core.params import load


def test_the_plain_loop_and_ours_agree_but_for_the_draw() -> None:
    generator = np.random.default_rng(0)
    truth = (np.arange(400) % 4 == 0).astype(np.int8)
    score = generator.normal(size=400) + truth
    patients = np.array([f"p{number // 2}" for number in range(400)])
    plain = evaluate.plain_aurocs(truth[:, None], score[:, None], patients, 200)[:, 0]
    ours = auroc_estimate(truth, score, PatientBootstrap(patients.tolist(), 200, seed=0)).samples_R
    assert plain.mean() == pytest.approx(ours.mean(), abs=0.01)
    assert plain.std() == pytest.approx(ours.std(), rel=0.25)


def test_the_figures_of_the_pass_are_printed(repository, monkeypatch, capsys) -> None:
    monkeypatch.chdir(repository)
    evaluate.time_zero_shot(load(), count=2, rounds=1)
    printed = capsys.readouterr().out
    assert "images a second" in printed
    assert "share outside the model" in printed


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        evaluate.run(images=0, rounds=1)
