"""The loop: it never waits for the device, ends the same however often it was stopped, and however many share it."""

import os
import random
import signal
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from components.core import paths
from components.core.checkpoints import Checkpoints
from components.core.tracking import StageRun
from components.core.trouble import TryAgain
from components.pretrain import __main__ as command_line
from components.pretrain import training as loop
from components.pretrain.examples import read_examples
from components.pretrain.history import History
from components.pretrain.loading import Order, TrainingImages, loaders
from components.pretrain.stage import build_model, launched, run
from components.pretrain.task import MovingAverage, Pretraining, optimiser_of
from tests.pretrain.conftest import CHANGES, settings
from tests.pretrain.frozen_training import train_frozen

WEIGHTS = paths.PRETRAINED / "weights.safetensors"
HISTORY = paths.PLOTS / "pretrain" / "history.csv"


def environment(repository: Path, **changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", **changes}


def results() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (WEIGHTS, HISTORY, paths.PRETRAINED / "metrics.json")}


def training_of(section: Any, state: Path) -> tuple[loop.Training, Iterator[Any]]:
    examples = read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", section.uncertain)
    fabric = launched(section)
    order = Order(len(examples.train), section.batch, section.seed, section.epochs, section.accumulate)
    history = History(StageRun(), order, TrainingImages(examples, section), fabric.device)
    training = loop.Training(fabric, Pretraining(build_model(section), section), order, history, Checkpoints(state))
    return training, iter(loaders(examples, section, fabric.device, order)[0])


class NoWait(TorchDispatchMode):
    """Fails on every operator whose result the host must wait for."""

    waits = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        boolean = name in ("index", "index_put", "index_put_") and any(
            one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]
        )
        assert name not in self.waits, f"{name} waits for the device"
        assert not boolean, f"{name} by a boolean tensor waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("changes", [
    {"precision": "bf16-mixed", "ema": 0.9},
    {"augmentation": {"engine": "grid_sample"}, "accumulate": 2, "objective": {"fidelity": "paper"}},
], ids=["bf16", "grid_sample and parts"])  # fmt: skip
def test_a_step_never_waits_for_the_device(workspace: Path, repository: Path, changes: dict[str, Any]) -> None:
    training, batches = training_of(settings(repository, **changes).pretrain, workspace / "s")
    training.step(0, batches)  # AdamW makes its state in the first step
    with NoWait():
        terms, _ = training.step(1, batches)
    with pytest.raises(AssertionError, match="waits for the device"), NoWait():
        float(terms["loss"])


def test_the_fused_step_is_that_of_adamw(workspace: Path, repository: Path) -> None:
    section = settings(repository, channels_last=True).pretrain
    ours, plainly = (Pretraining(build_model(section), section) for _ in range(2))
    given = optimiser_of(plainly, section).param_groups
    groups = [{name: group[name] for name in ("params", "weight_decay")} for group in given]
    plain = torch.optim.AdamW(groups, lr=section.learning_rate, fused=False, foreach=False)
    optimisers = optimiser_of(ours, section), plain
    for _ in range(3):
        for weight, same in zip(ours.parameters(), plainly.parameters(), strict=True):
            weight.grad = torch.randn_like(weight)
            same.grad = weight.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    for (name, weight), same in zip(ours.named_parameters(), plainly.parameters(), strict=True):
        torch.testing.assert_close(weight, same, rtol=1e-5, atol=1e-7, msg=lambda said, name=name: f"{name}: {said}")


def test_parts_of_a_step_move_the_weights_nearly_as_the_whole(workspace: Path, repository: Path) -> None:
    norms = []
    for parts in (1, 4):
        section = settings(repository, accumulate=parts, model={**settings(repository).pretrain.model.model_dump(
            mode="json"), "dropout": 0.0}).pretrain  # fmt: skip
        training, batches = training_of(section, workspace / f"s{parts}")
        norms.append(float(training.step(0, batches)[0]["gradient_norm"]))
    assert norms[1] == pytest.approx(norms[0], rel=0.5)


def test_the_average_follows_the_weights_and_is_what_is_looked_at() -> None:
    model = torch.nn.Linear(2, 1)
    average, first = MovingAverage(model, decay=0.75), model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    average.update()
    torch.testing.assert_close(average.weights["weight"], first + 0.25)
    average.swap()
    torch.testing.assert_close(model.weight.detach(), first + 0.25)
    average.swap()
    torch.testing.assert_close(model.weight.detach(), first + 1)


@pytest.mark.slow
@pytest.mark.hard
def test_killed_and_told_to_stop_it_ends_as_if_it_had_not_been(workspace: Path, repository: Path) -> None:
    params = settings(repository, epochs=6, ema=0.9)
    command = [sys.executable, "-m", "components.pretrain"]
    for number, (wanted, workers) in enumerate(((-signal.SIGKILL, "2"), (75, ""))):
        before = set(Path("state").rglob("step-*.json"))
        variables = environment(repository, MEDSLIP_SAVE_STEPS="1", MEDSLIP_WORKERS=workers)
        with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 120
            while set(Path("state").rglob("step-*.json")) <= before and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(random.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL if number == 0 else signal.SIGTERM)
            errors = process.communicate(timeout=300)[1]
        assert process.returncode == wanted, errors
    assert "the same command goes on from there" in errors
    assert "going on after step" in errors
    assert not paths.PRETRAINED.exists()
    run(params, "")
    resumed = results()
    run(params, "")  # no state is left: from the start
    assert results() == resumed


def test_told_to_stop_between_two_rows_the_history_is_the_same(
    workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = settings(repository)
    run(params, "")
    expected = results()
    add = History.add

    def stop_at_four(self: History, step: int, *rest: Any) -> None:
        add(self, step, *rest)
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(History, "add", stop_at_four)
    with pytest.raises(TryAgain, match="after step 4 of 21"):
        run(params, "")
    monkeypatch.setattr(History, "add", add)
    run(params, "")
    assert results() == expected


def test_told_to_stop_before_there_is_a_step_it_asks_to_be_tried_again(workspace: Path, repository: Path) -> None:
    settings(repository)
    command = [sys.executable, "-m", "components.pretrain"]
    with subprocess.Popen(command, env=environment(repository), stderr=subprocess.PIPE, text=True) as process:
        while "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8"):
            assert process.poll() is None
            time.sleep(0.005)
        process.terminate()
        errors = process.communicate(timeout=300)[1]
    assert (process.returncode, errors) == (
        75, "try again: told to stop; the same command goes on from what has been kept\n"
    )  # fmt: skip
    assert not paths.PRETRAINED.exists()


def test_a_checkpoint_of_another_model_is_refused(workspace: Path, repository: Path) -> None:
    training, _ = training_of(settings(repository).pretrain, workspace / "s")
    training.save(1)
    wider = settings(repository, model={**CHANGES["model"], "width": 32})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"s holds the checkpoint of another model, remove it to start again: .*size"):
        training_of(wider.pretrain, workspace / "s")


def test_what_stops_all_processes_is_told_by_the_first(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("of all")

    monkeypatch.setattr(command_line.params, "load", lambda path: fail())
    starters = iter([7, 7, 7, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(starters))
    command_line.follow()  # says nothing, once the process that started it is gone
    monkeypatch.setattr(os, "getppid", lambda: 7)
    monkeypatch.setattr(command_line, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(ValueError, match="of all"):
        command_line.follow()


@pytest.mark.slow
def test_two_processes_train_as_one(workspace: Path, repository: Path) -> None:
    model = {**settings(repository).pretrain.model.model_dump(mode="json"), "dropout": 0.0}
    settings(repository, epochs=1, model=model, clip=1.0)
    train_frozen(Path("one.safetensors"))
    command = [sys.executable, "-m", "tests.pretrain.frozen_training", "two.safetensors"]
    subprocess.run(command, env=environment(repository, MEDSLIP_PROCESSES="2"), check=True, timeout=240)
    one, two = load_file("one.safetensors"), load_file("two.safetensors")
    for name, weight in one.items():
        if name.endswith("in_proj_bias"):  # softmax cancels the keys' bias: AdamW makes steps of rounding errors there
            for weights in (one, two):
                weights[name].chunk(3)[1].zero_()
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=2e-4, msg=name)
    areas = []
    for path in ("one.safetensors", "two.safetensors"):
        with safe_open(path, framework="pt") as file:
            areas.append(literal_eval(file.metadata()["auroc"]))
    assert areas[0].keys() == areas[1].keys()
    assert areas[0] == pytest.approx(areas[1], abs=0.03)
