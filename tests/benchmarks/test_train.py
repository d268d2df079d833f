"""The benchmark of the pretraining step runs, and both ways of the loss have one value."""

import pytest
import torch

from benchmarks.train import FORMS, QUICK, contracted_total, in_own_process, measure, published_total, run


def test_both_ways_compute_the_same_loss() -> None:
    model, (images, labels) = QUICK.model().eval(), QUICK.batch_of(torch.device("cpu"))
    assert (labels == 1).any()
    totals = []
    for total in (published_total, contracted_total):
        torch.manual_seed(2)
        totals.append(float(total(model, images, labels)))
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)


def test_the_tables_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("benchmarks.train.in_own_process", measure)
    run(QUICK)
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*FORMS, "512 px shard", "waits for input"))


@pytest.mark.slow
def test_a_form_is_measured_in_its_own_process() -> None:
    seconds, memory = in_own_process(QUICK, next(iter(FORMS)), torch.device("cpu"))
    assert seconds > 0
    assert 0.05 < memory < 5
