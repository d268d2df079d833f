import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from components.core.records.tables import read_table, write_table
from components.finetune.stage import run, share_name
from tests import evaluation_workspace as workspace

COUNT = 140
SETTINGS = {
    "finetune": {
        "bootstrap": 100, "min_positives": 5, "shares": [0.4, 1.0], "epochs": 5, "batch": 8, "threads": 1,
        "learning_rate": 0.02, "precision": "32-true",
    }
}  # fmt: skip
TASK = "rsna_pneumonia"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory, repository):
    """Images in which a bright spot makes the label: a feature that any trunk can learn."""
    root = tmp_path_factory.mktemp("finetune")
    workspace.write_dataset(root, TASK, COUNT, own_labels=True, drawn_truth=False)
    workspace.write_model(root)
    return root


@pytest.fixture(scope="module")
def params(root, repository):
    return workspace.write_params(root, repository, SETTINGS)


@pytest.fixture(scope="module")
def figures(root, params):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return run(params, TASK)


def digests(root) -> dict[str, str]:
    parts = ("models/finetuned", "plots/finetune", "predictions/finetune")
    files = [path for part in parts for path in sorted((root / part / TASK).iterdir())]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_planted_feature_is_learnt(figures) -> None:
    full = figures["shares"]["100_percent"]
    assert max(full[start]["auroc"]["macro"]["value"] for start in ("pretrained", "scratch")) > 0.9


def test_the_gain_is_the_paired_difference_of_the_two_starts(figures) -> None:
    for share in figures["shares"].values():
        difference = share["pretrained"]["auroc"]["macro"]["value"] - share["scratch"]["auroc"]["macro"]["value"]
        assert share["difference"]["value"] == pytest.approx(difference, abs=2e-6)
        assert share["difference"]["low"] <= share["difference"]["value"] <= share["difference"]["high"]


def test_saved_predictions_give_the_figures_again(root, figures) -> None:
    for share in (0.4, 1.0):
        for start in ("pretrained", "scratch"):
            path = root / "predictions" / "finetune" / TASK / f"{start}_{share_name(share)}.parquet"
            table = read_table(path, "predictions")
            assert set(table["split"]) == {"validate", "test"}
            test = table[table["split"] == "test"]
            value = figures["shares"][share_name(share)][start]["auroc"]["macro"]["value"]
            assert roc_auc_score(test["truth"], test["score"]) == pytest.approx(value, abs=1e-6)


def test_subsets_are_saved_nest_and_hold_training_patients_only(root, figures) -> None:
    subsets = json.loads((root / "models" / "finetuned" / TASK / "subsets.json").read_text())
    assert set(subsets["40_percent"]) < set(subsets["100_percent"])
    assert figures["shares"]["40_percent"]["patients"] == len(subsets["40_percent"])
    manifest = read_table(root / "data" / "images" / TASK / "manifest.parquet", "manifest")
    assert set(subsets["100_percent"]) == set(manifest["patient_id"][manifest["split"] == "train"])


def test_every_start_and_share_has_its_weights_and_may_take_equal_steps(root, figures) -> None:
    folder = root / "models" / "finetuned" / TASK
    weights = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
    assert set(weights) == {f"{start}_{n}_percent" for start in ("pretrained", "scratch") for n in (40, 100)}
    assert len({arrays["head.weight"].tobytes() for arrays in weights.values()}) == 4
    config = json.loads((folder / "config.json").read_text())
    assert (config["classes"], config["image_size"]) == (["pneumonia"], workspace.SIZE)
    looks = {
        share[start]["steps"] / len(share[start]["validation_losses"])
        for share in figures["shares"].values()
        for start in ("pretrained", "scratch")
    }
    assert len(looks) == 1


def test_the_picture_shows_something(root, figures) -> None:
    with Image.open(root / "plots" / "finetune" / TASK / "auroc.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_equal_inputs_give_equal_bytes(root, params, figures, monkeypatch) -> None:
    monkeypatch.chdir(root)
    before = digests(root)
    assert json.dumps(run(params, TASK)) == json.dumps(figures)
    assert digests(root) == before


def test_the_test_split_moves_no_weight_and_no_threshold(root, params, figures, monkeypatch, tmp_path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    folder = tmp_path / "copy" / "data" / "images" / TASK
    manifest = read_table(folder / "manifest.parquet", "manifest")
    annotations = read_table(folder / "annotations.parquet", "annotations")
    in_test = annotations["image_id"].isin(manifest["image_id"][manifest["split"] == "test"])
    flipped = in_test & (annotations["kind"] == "label")
    annotations.loc[flipped, "value"] = 1 - annotations.loc[flipped, "value"]
    write_table(folder / "annotations.parquet", annotations, "annotations")
    other = run(params, TASK)
    before, after = digests(root), digests(tmp_path / "copy")
    assert {name: after[name] for name in after if name.endswith("safetensors")} == {
        name: before[name] for name in before if name.endswith("safetensors")
    }
    for name, share in figures["shares"].items():
        assert other["shares"][name]["scratch"]["thresholds"] == share["scratch"]["thresholds"]
        value = share["scratch"]["auroc"]["macro"]["value"]
        assert other["shares"][name]["scratch"]["auroc"]["macro"]["value"] == pytest.approx(1 - value, abs=1e-5)


def test_shuffled_labels_are_at_chance(root, params, monkeypatch, tmp_path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    folder = tmp_path / "copy" / "data" / "images" / TASK
    annotations = read_table(folder / "annotations.parquet", "annotations")
    labels = annotations["kind"] == "label"
    values = annotations.loc[labels, "value"].to_numpy()
    annotations.loc[labels, "value"] = np.random.default_rng(1).permutation(values)
    write_table(folder / "annotations.parquet", annotations, "annotations")
    shares = run(params, TASK)["shares"]
    starts = [share[start] for share in shares.values() for start in ("pretrained", "scratch")]
    manifest = read_table(folder / "manifest.parquet", "manifest")
    tested = annotations[labels & annotations["image_id"].isin(manifest["image_id"][manifest["split"] == "test"])]
    positives, negatives = (tested["value"] == 1).sum(), (tested["value"] == 0).sum()
    # The standard error of the AUROC of scores that know nothing (Mann and Whitney, 1947).
    error = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    assert max(start["auroc"]["macro"]["value"] for start in starts) < min(0.5 + 3 * error, 0.85)


def test_bad_input_is_told_in_a_sentence(root, params, monkeypatch) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match=r"not one of finetune\.tasks"):
        run(params, "mimic_cxr")
