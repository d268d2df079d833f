import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from lightning import LightningModule, Trainer
from PIL import Image
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from components.core.records.masks import mask_of
from components.core.records.tables import read_table, write_table
from components.core.trouble import TryAgain
from components.finetune.examples import read_labelled
from components.finetune.stage import CODE, run, share_name
from components.finetune.training import Looks
from tests import evaluation_workspace as workspace

COUNT = 140
TASKS = ("rsna_classification", "rsna_segmentation")
SETTINGS = {
    "finetune": {
        "tasks": {task: {"dataset": "rsna_pneumonia", "kind": task.removeprefix("rsna_")} for task in TASKS},
        "bootstrap": 100, "min_positives": 5, "shares": [0.4, 1.0], "epochs": 3, "batch": 8, "threads": 1,
        "learning_rate": 0.02, "precision": "32-true",
    }
}  # fmt: skip
STARTS = ("pretrained", "scratch")
HEADLINES = {"rsna_classification": lambda row: row["auroc"]["macro"], "rsna_segmentation": lambda row: row["dice"]}
IMAGES = Path("data/images/rsna_pneumonia")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images in which a bright spot makes the label and the box: a feature that any trunk can learn."""
    root = tmp_path_factory.mktemp("finetune")
    workspace.write_dataset(root, "rsna_pneumonia", COUNT, own_labels=True, drawn_truth=False)
    workspace.write_model(root)
    return root


@pytest.fixture(scope="module")
def params(root, repository):
    return workspace.write_params(root, repository, SETTINGS)


@pytest.fixture(scope="module")
def figures(root, params):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MEDSLIP_STATE_DIR", str(root / "state"))
        return {task: run(params, task) for task in TASKS}


@pytest.fixture
def other(root, figures, monkeypatch, tmp_path):
    """A copy of the workspace whose annotations may be changed."""
    shutil.copytree(root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "copy"


def digests(root, task: str) -> dict[str, str]:
    parts = ("models/finetuned", "plots/finetune", "predictions/finetune")
    files = [path for part in parts for path in sorted((root / part / task).iterdir())]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def weights(root, task: str) -> dict[str, str]:
    return {name: digest for name, digest in digests(root, task).items() if name.endswith("safetensors")}


@pytest.mark.parametrize("task", TASKS)
def test_a_planted_feature_is_learnt(figures, task: str) -> None:
    full = figures[task]["shares"]["100_percent"]
    assert max(HEADLINES[task](full[start])["value"] for start in STARTS) > {"rsna_classification": 0.9}.get(task, 0.6)


@pytest.mark.parametrize("task", TASKS)
def test_the_gain_is_the_paired_difference_of_the_starts(figures, task: str) -> None:
    for share in figures[task]["shares"].values():
        warm, cold = (HEADLINES[task](share[start])["value"] for start in STARTS)
        assert share["difference"]["value"] == pytest.approx(warm - cold, abs=2e-6)
        assert share["difference"]["low"] <= share["difference"]["value"] <= share["difference"]["high"]


def test_saved_predictions_give_the_figures_again(root, figures) -> None:
    for share in (0.4, 1.0):
        for start in STARTS:
            path = root / "predictions/finetune/rsna_classification" / f"{start}_{share_name(share)}.parquet"
            table = read_table(path, "predictions")
            assert set(table["split"]) == {"validate", "test"}
            test = table[table["split"] == "test"]
            value = figures["rsna_classification"]["shares"][share_name(share)][start]["auroc"]["macro"]["value"]
            assert roc_auc_score(test["truth"], test["score"]) == pytest.approx(value, abs=1e-6)


def test_saved_masks_give_the_figures_again(root, figures) -> None:
    labelled = read_labelled(root / IMAGES, "segmentation")
    truths = dict(zip(labelled.images["image_id"], labelled.outlines, strict=True))
    table = read_table(root / "predictions/finetune/rsna_segmentation/pretrained_100_percent.parquet", "segmentations")
    assert set(table["split"]) == {"validate", "test"}
    dice, left_empty = [], []
    for _, row in table[table["split"] == "test"].iterrows():
        truth = truths[row["image_id"]].mask() > 0
        predicted = mask_of(row["runs"], workspace.SIZE, workspace.SIZE) > 0
        if truth.any():
            dice.append(2 * (truth & predicted).sum() / (truth.sum() + predicted.sum()))
        else:
            left_empty.append(not predicted.any())
    found = figures["rsna_segmentation"]["shares"]["100_percent"]["pretrained"]
    assert found["dice"]["value"] == pytest.approx(np.mean(dice), abs=2e-6)
    assert found["left_empty"]["value"] == pytest.approx(np.mean(left_empty), abs=2e-6)
    assert (found["dice"]["images"], found["left_empty"]["images"]) == (len(dice), len(left_empty))


@pytest.mark.parametrize("task", TASKS)
def test_subsets_are_saved_nest_and_hold_training_patients_only(root, figures, task: str) -> None:
    subsets = json.loads((root / "models/finetuned" / task / "subsets.json").read_text())
    assert set(subsets["40_percent"]) < set(subsets["100_percent"])
    assert figures[task]["shares"]["40_percent"]["patients"] == len(subsets["40_percent"])
    manifest = read_table(root / IMAGES / "manifest.parquet", "manifest")
    assert set(subsets["100_percent"]) == set(manifest["patient_id"][manifest["split"] == "train"])


def test_every_start_and_share_has_its_weights_and_may_take_equal_steps(root, figures) -> None:
    folder = root / "models/finetuned/rsna_classification"
    arrays = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
    assert set(arrays) == {f"{start}_{n}_percent" for start in STARTS for n in (40, 100)}
    assert len({one["head.weight"].tobytes() for one in arrays.values()}) == 4
    config = json.loads((folder / "config.json").read_text())
    assert (config["classes"], config["image_size"]) == (["pneumonia"], workspace.SIZE)
    fits = [share[start] for share in figures["rsna_classification"]["shares"].values() for start in STARTS]
    assert len({fit["steps"] / len(fit["validation_losses"]) for fit in fits}) == 1


@pytest.mark.parametrize(
    "picture", ["rsna_classification/auroc", "rsna_segmentation/dice", "rsna_segmentation/overlays"]
)
def test_the_pictures_show_something(root, figures, picture: str) -> None:
    with Image.open(root / "plots/finetune" / f"{picture}.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.parametrize("task", TASKS)
def test_equal_inputs_give_equal_bytes(root, other, params, figures, task: str) -> None:
    assert json.dumps(run(params, task)) == json.dumps(figures[task])
    assert digests(other, task) == digests(root, task)


@pytest.mark.parametrize("task", TASKS)
def test_the_test_split_moves_no_weight_and_no_threshold(root, other, params, figures, task: str) -> None:
    manifest = read_table(other / IMAGES / "manifest.parquet", "manifest")
    annotations = read_table(other / IMAGES / "annotations.parquet", "annotations")
    tested = annotations["image_id"].isin(manifest["image_id"][manifest["split"] == "test"])
    if task == "rsna_classification":
        flipped = tested & (annotations["kind"] == "label")
        annotations.loc[flipped, "value"] = 1 - annotations.loc[flipped, "value"]
    else:
        annotations.loc[tested & (annotations["kind"] == "box"), ["x", "y"]] = 25.0
    write_table(other / IMAGES / "annotations.parquet", annotations, "annotations")
    changed = run(params, task)
    assert weights(other, task) == weights(root, task)
    for name, share in figures[task]["shares"].items():
        for start in STARTS:
            before, after = share[start], changed["shares"][name][start]
            key = "thresholds" if task == "rsna_classification" else "threshold"
            assert after[key] == before[key]
            assert after["validation_losses"] == before["validation_losses"]
            assert HEADLINES[task](after)["value"] < HEADLINES[task](before)["value"] - 0.2


def test_shuffled_labels_are_at_chance(other, params) -> None:
    annotations = read_table(other / IMAGES / "annotations.parquet", "annotations")
    labels = annotations["kind"] == "label"
    values = annotations.loc[labels, "value"].to_numpy()
    annotations.loc[labels, "value"] = np.random.default_rng(1).permutation(values)
    write_table(other / IMAGES / "annotations.parquet", annotations, "annotations")
    shares = run(params, "rsna_classification")["shares"]
    areas = [share[start]["auroc"]["macro"]["value"] for share in shares.values() for start in STARTS]
    manifest = read_table(other / IMAGES / "manifest.parquet", "manifest")
    tested = annotations[labels & annotations["image_id"].isin(manifest["image_id"][manifest["split"] == "test"])]
    positives, negatives = (tested["value"] == 1).sum(), (tested["value"] == 0).sum()
    # The standard error of the AUROC of scores that know nothing (Mann and Whitney, 1947).
    error = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    assert max(areas) < min(0.5 + 3 * error, 0.85)


def test_shuffled_boxes_find_nothing(other, params, figures) -> None:
    labelled = read_labelled(other / IMAGES, "segmentation")
    annotations = read_table(other / IMAGES / "annotations.parquet", "annotations")
    names = labelled.images["image_id"].to_numpy()
    shuffled = dict(zip(names, np.random.default_rng(1).permutation(names), strict=True))
    annotations = annotations[annotations["image_id"].isin(names)].replace({"image_id": shuffled})
    write_table(other / IMAGES / "annotations.parquet", annotations, "annotations")
    row = run(params, "rsna_segmentation")["shares"]["100_percent"]["pretrained"]
    # The finding's place is always the same, so that a mask there is half right; who has one cannot be told.
    assert row["left_empty"]["value"] < 0.5 or row["dice"]["value"] < 0.3
    assert figures["rsna_segmentation"]["shares"]["100_percent"]["pretrained"]["left_empty"]["value"] > 0.6


def test_a_share_or_a_split_without_a_positive_has_no_figure_and_says_why(other, params) -> None:
    annotations = read_table(other / IMAGES / "annotations.parquet", "annotations")
    manifest = read_table(other / IMAGES / "manifest.parquet", "manifest")
    validated = annotations["image_id"].isin(manifest["image_id"][manifest["split"] == "validate"])
    annotations.loc[validated & (annotations["kind"] == "label"), "value"] = 0
    write_table(
        other / IMAGES / "annotations.parquet",
        annotations[~(validated & (annotations["kind"] == "box"))],
        "annotations",
    )
    small = params.model_copy(update={"finetune": params.finetune.model_copy(update={"shares": (0.001, 1.0)})})
    for task in TASKS:
        shares = run(small, task)["shares"]
        without_threshold = shares["100_percent"]["pretrained"]["f1" if task == "rsna_classification" else "dice"]
        figure = without_threshold.get("per_class", {}).get("pneumonia", without_threshold)
        assert figure["value"] is None
        assert "threshold" in figure["why"]
        share = shares["0_1_percent"]
        assert share["missing"] == {"pneumonia": "no positive image among the 0 patients of the share"}
        assert (share["images"], share["positives"]) == (0, {"pneumonia": 0})
        assert HEADLINES[task](share["pretrained"])["value"] is share["difference"]["value"] is None
        assert "among the patients of the share" in HEADLINES[task](share["pretrained"])["why"]
        assert share["difference"]["why"] == "no figure of both starts"


def test_a_run_that_is_told_to_stop_says_try_again_and_keeps_its_looks(other, params, monkeypatch) -> None:
    shutil.rmtree(other / "models/finetuned")

    def stop_after_a_look(self: Looks, trainer: Trainer, module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Looks, "on_train_epoch_end", stop_after_a_look)
    with pytest.raises(TryAgain, match="goes on from the last look"):
        run(params, "rsna_classification")
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (other / "models/finetuned").exists()
    (kept,) = Path(os.environ["MEDSLIP_STATE_DIR"]).glob("finetune/*/*")
    assert kept.name == "pretrained_40_percent.state"


def test_a_killed_run_goes_on_where_it_was_and_ends_with_equal_bytes(root, other, figures, repository) -> None:
    task = "rsna_segmentation"
    environment = {**os.environ, "PYTHONPATH": str(repository), "MLFLOW_TRACKING_URI": f"sqlite:///{other}/mlflow.db"}
    command = [sys.executable, "-m", "components.finetune", task]
    shutil.rmtree(other / "models/finetuned")
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("scratch_40_percent  look 2/3"):
                break
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL
    assert not (other / "models/finetuned").exists()
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=True)
    looks = [line for line in done.stderr.splitlines() if "  look " in line]
    assert not any(line.startswith("pretrained_40_percent") for line in looks)
    assert "look 1/3" not in looks[0]
    assert digests(other, task) == digests(root, task)
    assert not list(Path(environment["MEDSLIP_STATE_DIR"]).glob("finetune/*"))


def test_an_unfinished_training_is_of_the_code_that_the_graph_names(repository) -> None:
    graph = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))
    named = graph["stages"]["finetune"]["do"]["deps"]
    assert set(CODE) == {repository / path for path in named if path.startswith("components/")}


def test_bad_input_is_told_in_a_sentence(root, params, monkeypatch) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match=r"not one of finetune\.tasks \(rsna_classification, rsna_segmentation\)"):
        run(params, "mimic_cxr")
