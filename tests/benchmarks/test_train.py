"""The benchmark of the pretraining step runs, and both ways of the loss have one value."""

from dataclasses import replace

import pytest
import torch

from benchmarks.train import (
    FAST_FORM,
    FORMS,
    PLAIN_FORM,
    PUBLISHED_FORM,
    QUICK,
    TRUNK_FORM,
    Cost,
    contracted_total,
    goals,
    in_own_process,
    measure,
    print_goals,
    published_total,
    run,
)


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
    assert printed.rindex("| goal | wanted at least | measured | reached |") > printed.index("waits for input")


@pytest.mark.parametrize(
    ("instructions", "doubt"), [(["amx_bf16"], ""), ([], " (no bf16 instructions: bf16 gains little")]
)
def test_goals_are_told_with_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], instructions: list[str], doubt: str
) -> None:
    monkeypatch.setattr("benchmarks.train.bf16_instructions", lambda: instructions)
    costs = {PUBLISHED_FORM: Cost(6, 5), PLAIN_FORM: Cost(4, 2), FAST_FORM: Cost(2, 1), TRUNK_FORM: Cost(1.7, 1)}
    rates = {"JPEG": 20.0, "256 px shard": 1000.0, "512 px shard": 900.0}
    on_cpu, on_gpu = (goals(costs, rates, torch.device(name)) for name in ("cpu", "cuda"))
    print_goals(on_cpu)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[1:] for row in rows] == [
        ["1.5", "1.5", "yes"],
        ["3.5", "3", "no"],
        ["2", "2.5", "yes"],
        ["100", "50", "no"],
    ]
    assert rows[1][0].startswith(f"speed of the step, channels last + bf16{doubt}")
    assert next(iter(on_gpu.values())) == (0.8, pytest.approx(0.85))


@pytest.mark.slow
def test_a_form_is_measured_in_its_own_process() -> None:
    seconds, memory = in_own_process(QUICK, next(iter(FORMS)), torch.device("cpu"))
    assert seconds > 0
    assert 0.05 < memory < 5
    with pytest.raises(ValueError, match=r"memory does not hold .* with 1000000000000 images: lower the batch"):
        in_own_process(replace(QUICK, batch=10**12), PLAIN_FORM, torch.device("cpu"))
