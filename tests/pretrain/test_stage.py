"""The stage as it is run: it learns, its outputs are whole and repeatable, a killed run goes on exactly."""

import csv
import errno
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from components.core import command, paths
from components.core.model import load
from components.core.model.losses import compute_losses
from components.core.tracking import StageRun
from components.core.vocabulary import ANATOMIES
from components.pretrain.examples import read_examples
from components.pretrain.loading import Order, TrainingImages, ValidationImages
from components.pretrain.stage import CODE, build_model, run, state_of, train
from components.pretrain.task import Pretraining, auroc_by_pathology, learning_rate_share, optimiser_of
from tests.pretrain.conftest import settings

WEIGHTS = paths.PRETRAINED / "weights.safetensors"


def outputs(workspace: Path) -> dict[str, bytes]:
    """Everything that the stage made."""
    files = [*paths.PRETRAINED.iterdir(), *(paths.PLOTS / "pretrain").iterdir()]
    return {str(path): path.read_bytes() for path in files}


def test_outputs_figures_and_the_same_bytes_again(workspace: Path, repository: Path) -> None:
    params = settings(repository, precision="bf16-mixed", objective={"alpha": 0.5, "beta": 2.0})
    figures = run(params, "")
    json.dumps(figures, allow_nan=False)
    assert figures["train"] == {"images": 59, "studies": 59}
    assert figures["steps"] == 21
    areas = figures["validation"]["auroc"]
    assert areas["per_class"].keys() == {"effusion", "nodule"}
    assert areas["macro"] == pytest.approx(sum(areas["per_class"].values()) / 2)
    model = load(paths.PRETRAINED)
    assert figures["parameters"] == sum(weight.numel() for weight in model.parameters())
    with (paths.PLOTS / "pretrain" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    looks = [row for row in rows if row["validation_auroc"]]
    assert [row["step"] for row in looks] == ["7", "14", "21"]
    assert float(looks[-1]["validation_auroc"]) == pytest.approx(areas["macro"], rel=1e-4)
    rows = [row for row in rows if row["loss"]]
    assert [row["step"] for row in rows] == ["7", "10", "14", "20", "21"]
    weights = {"existence_p": 1, "existence_a": 1, "prototype_p": 0.5, "prototype_a": 0.5, "relation": 2}
    terms = [float(rows[-1][name]) * weight for name, weight in weights.items()]
    assert float(rows[-1]["loss"]) == pytest.approx(sum(terms), rel=1e-4)
    last_epoch = (6 * float(rows[-2]["loss"]) + float(rows[-1]["loss"])) / 7
    assert figures["loss"]["total"] == pytest.approx(last_epoch, rel=1e-4)
    assert json.loads((paths.PRETRAINED / "metrics.json").read_text())["terms"]["nodule"]["present"] > 5
    first = outputs(workspace)
    assert not list(Path("state").rglob("step-*"))
    run(params, "")
    assert outputs(workspace) == first


@pytest.mark.parametrize(
    ("form", "terms"),
    [
        ("one_stream", {"existence_p", "prototype_p"}),
        ("global_contrast", {"contrast"}),
        ("supervised", {"existence_p"}),
    ],
)
def test_a_baseline_takes_medslips_place(workspace: Path, repository: Path, form: str, terms: set[str]) -> None:
    figures = run(settings(repository, objective={"form": form}), "")
    assert figures["loss"].keys() == {"total", *terms}
    model = load(paths.PRETRAINED)
    assert model.config.form == form
    examples = read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", "ignore")
    image_1SS, _ = ValidationImages(examples, settings(repository).pretrain)[0]
    assert model(image_1SS.unsqueeze(0)).presence_BP.shape == (1, 75)


@pytest.mark.parametrize("validate_every", [3, 2], ids=["looks after the last epoch", "does not"])
def test_a_run_stopped_before_its_outputs_only_writes_them(
    workspace: Path, repository: Path, validate_every: int
) -> None:
    params = settings(repository, validate_every=validate_every)
    torch.set_num_threads(1)
    examples = read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", "ignore")
    state = state_of(params.pretrain, paths.IMAGES / "mimic_cxr", examples)
    train(build_model(params.pretrain), params.pretrain, examples, state)
    assert sorted(state.iterdir())
    run(params, "")
    resumed = outputs(workspace)
    run(params, "")
    assert outputs(workspace) == resumed


def test_figures_that_cannot_be_written_cost_no_training(
    workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, content: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    settings(repository)
    with monkeypatch.context() as patch:
        patch.setattr(command, "write_json", full)
        assert command.guarded(lambda: command.run_stage("pretrain", run, None)) == command.TRY_AGAIN
    said = capsys.readouterr().err
    assert "try again: the disk is full for metrics/pretrain.json; what stood there before is as it was" in said
    first = outputs(workspace)
    assert command.guarded(lambda: command.run_stage("pretrain", run, None)) == 0
    assert "going on after step 21 of 21" in capsys.readouterr().err
    assert outputs(workspace) == first
    assert not list(Path("state").rglob("step-*"))


def test_a_run_that_goes_on_has_the_curve_from_its_beginning(
    workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: dict[int, dict[str, float]] = {}

    def note(self: StageRun, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        for step, row in rows:
            logged.setdefault(step, {}).update(row)

    params = settings(repository).pretrain
    examples = read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", "ignore")
    model, state = build_model(params), Path("kept")
    rows = train(model, params, examples, state).history.rows
    monkeypatch.setattr(StageRun, "log_history", note)
    train(model, params, examples, state)
    for row in rows:
        given = {name: value for name, value in row.items() if name not in ("step", "epoch")}
        assert given.items() <= logged[int(row["step"])].items()


def test_an_unfinished_training_is_of_the_code_that_the_graph_names(repository: Path) -> None:
    graph = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))
    named = {repository / path for path in graph["stages"]["pretrain"]["deps"] if path.startswith("components/")}
    assert set(CODE) == named


def test_the_loss_falls_on_a_few_images(workspace: Path, repository: Path) -> None:
    params = settings(
        repository, epochs=20, batch=16, augmentation={"min_area": 1.0, "flip": 0.0, "rotation_degrees": 0.0}
    )
    torch.set_num_threads(1)
    examples = read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", "ignore")
    images = TrainingImages(examples, params.pretrain)
    first = [images[key] for key in Order(59, 16, 3).keys(0)]
    batch = torch.stack([one.images_B1SS for one in first]), torch.stack([one.labels_BAP for one in first])

    def total(model: torch.nn.Module) -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return float(compute_losses(model(batch[0]), batch[1], 7).total(1, 1))

    before = total(build_model(params.pretrain))
    run(params, "")
    assert total(load(paths.PRETRAINED)) < 0.3 * before


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("data/findings/labels.npz", "labels.npz does not exist: run reports first"),
        ("data/images/mimic_cxr/manifest.parquet", "manifest.parquet does not exist"),
        ("models/knowledge/books.safetensors", "books.safetensors does not exist: run knowledge first"),
    ],
)
def test_a_missing_input_is_named(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path, file: str, sentence: str
) -> None:
    for path in inputs.rglob("*"):
        if path.is_file() and path.relative_to(inputs) != Path(file):
            place = tmp_path / path.relative_to(inputs)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        run(settings(repository), "")
    assert not paths.PRETRAINED.exists()


def write_books(**changes: torch.Tensor) -> None:
    """Other books in the place of the workspace's."""
    books = load_file(paths.KNOWLEDGE / "books.safetensors")
    Path("models/knowledge").unlink()
    Path("models/knowledge").mkdir()
    save_file({**books, **changes}, paths.KNOWLEDGE / "books.safetensors")


def test_a_loss_that_is_not_finite_names_its_step(workspace: Path, repository: Path) -> None:
    write_books(anatomies=torch.full((len(ANATOMIES), 12), 3e38))
    with pytest.raises(
        ValueError, match=r"the loss is not finite at step 1 .* whose images are image\d+, .*not_finite.safetensors"
    ) as refusal:
        run(settings(repository), "")
    (kept,) = Path("state").rglob("not_finite.safetensors")
    with safe_open(kept, framework="pt") as file:
        said, batch = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert said["step"] == "1"
    assert ", ".join(said["images"].split()) in str(refusal.value)
    assert batch["images_B1SS"].shape == (8, 1, 48, 48)
    assert batch["labels_BAP"].shape == (8, 51, 75)


def test_what_to_do_is_said_when_the_gpus_memory_runs_out(
    workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Pretraining, *arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(Pretraining, "forward", full)
    with pytest.raises(ValueError, match=r"does not hold 4 images at a time: raise pretrain.accumulate.*memory\.\)$"):
        run(settings(repository, accumulate=2), "")


def test_rates_memory_and_every_term_are_tracked_and_the_time_left_is_said(
    workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logged: set[str] = set()
    monkeypatch.setattr(StageRun, "log_metrics", lambda self, row, step=None: logged.update(row))
    run(settings(repository), "")
    terms = {"existence_p", "existence_a", "prototype_p", "prototype_a", "relation"}
    others = {"loss", "gradient_norm", "learning_rate", "images_per_second", "memory_bytes", "validation_auroc"}
    assert logged == terms | others
    said = capsys.readouterr().err.splitlines()
    assert said.count("images left out: 1 not frontal") == 1
    lines = [line for line in said if line.startswith("epoch ")]
    assert len(lines) == 3
    assert all(re.search(r"step \d+/21  loss .* \d+ images/s, \d+ s left$", line) for line in lines)


def test_the_schedule_warms_up_by_steps_and_ends_at_the_final_rate(workspace: Path, repository: Path) -> None:
    section = settings(repository, learning_rate=0.01, final_learning_rate=0.001, warmup_steps=10).pretrain
    shares = [learning_rate_share(step, section, 100) for step in range(101)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == shares[10] == 1.0
    assert shares[55] == pytest.approx((1 + 0.1) / 2)
    assert shares[100] == pytest.approx(0.1)
    assert learning_rate_share(1, section, 4) == 1.0  # a warm-up takes at most half of a training


def test_weight_decay_spares_one_dimensional_parameters(workspace: Path, repository: Path) -> None:
    section = settings(repository, weight_decay=0.02).pretrain
    task = Pretraining(build_model(section), section)
    decayed, spared = optimiser_of(task, section).param_groups
    assert decayed["weight_decay"] == 0.02
    assert spared["weight_decay"] == 0
    assert all(weight.ndim > 1 for weight in decayed["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(task.model.parameters()))


def test_the_validation_figure_is_over_visible_pathologies_with_enough_cases() -> None:
    from components.core.vocabulary import PATHOLOGIES, PATHOLOGY_INDEX

    truth_NP = torch.full((20, len(PATHOLOGIES)), -1, dtype=torch.int8)
    score_NP = torch.rand(20, len(PATHOLOGIES))
    for name, positives in (("nodule", 10), ("mass", 4), ("normal", 10)):
        truth_NP[:, PATHOLOGY_INDEX[name]] = (torch.arange(20) < positives).to(torch.int8)
    score_NP[:, PATHOLOGY_INDEX["nodule"]] = torch.linspace(1, 0, 20)
    assert auroc_by_pathology(truth_NP.numpy(), score_NP.numpy()) == {"nodule": 1.0}
