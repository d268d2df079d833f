"""Every task that the demo, its comparison and the paper's profile learn, from a phantom archive as it lies on disk."""

from pathlib import Path
from typing import Any

import pytest

from components.core import params as parameters
from components.core.archives.nih_cxr14 import CLASSES
from components.core.paths import IMAGES, PHANTOM_ARCHIVES
from components.core.records.tables import read_table
from components.finetune import stage as finetune
from components.ingest import stage as ingest
from components.inventory import stage as inventory
from components.phantom.stage import make_archive
from tests import evaluation_workspace as workspace

pytestmark = pytest.mark.slow

STUDIES = {"rsna_pneumonia": 24, "nih_cxr14": 30, "siim_acr": 20, "covidx_cxr4": 24}
CLASSES_OF = {
    "rsna_classification": ("pneumonia",), "rsna_segmentation": ("pneumonia",), "nih_classification": CLASSES,
    "siim_classification": ("pneumothorax",), "siim_segmentation": ("pneumothorax",),
    "covidx_classification": ("covid",),
}  # fmt: skip


@pytest.fixture(scope="module")
def tasks(repository: Path) -> dict[str, Any]:
    """The tasks that files of ours ask for."""
    compared = parameters.read_yaml(repository / "comparisons/compare.yaml")["changes"]
    others = [compared, parameters.read_yaml(repository / "pipelines/profiles/paper.yaml")]
    content = parameters.read_yaml(repository / "params.yaml")
    for other in others:
        content = parameters.overlay(content, {"finetune": {"tasks": other["finetune"]["tasks"]}})
    found: dict[str, Any] = content["finetune"]["tasks"]
    return found


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory, repository: Path, tasks: dict[str, Any]) -> parameters.Params:
    """A workspace whose archives are listed and in shards, with an untrained model."""
    root = tmp_path_factory.mktemp("tasks")
    changes = {
        "phantom": {"studies": STUDIES, "pixels": 128},
        "inventory": {"validate_share": 0.3, "test_share": 0.35},
        "ingest": {"size": workspace.SIZE},
        "finetune": {
            "tasks": tasks, "bootstrap": 100, "min_positives": 1, "shares": [1.0], "epochs": 1, "batch": 8,
            "threads": 1, "precision": "32-true",
        },
    }  # fmt: skip
    params = workspace.write_params(root, repository, changes)
    workspace.write_model(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MEDSLIP_WORKERS", "1")
        patch.setenv("MEDSLIP_STATE_DIR", str(root / "state"))
        for name in STUDIES:
            make_archive(params, name, name, PHANTOM_ARCHIVES / name)
            inventory.run(params, name)
            ingest.run(params, name)
        yield params


def test_every_task_is_known_here(tasks: dict[str, Any]) -> None:
    assert set(tasks) == set(CLASSES_OF)


@pytest.mark.parametrize("task", CLASSES_OF)
def test_a_task_is_learnt_and_judged_from_an_archive_on_disk(params: parameters.Params, task: str) -> None:
    figures = finetune.run(params, task)
    assert figures["classes"] == list(CLASSES_OF[task])
    share = figures["shares"]["100_percent"]
    assert share["positives"] == figures["images"]["train"]["positives"]
    assert set(figures["classes"]) - set(share["missing"])
    headline = share["pretrained"][figures["headline"]]
    assert 0 <= headline.get("macro", headline)["value"] <= 1
    manifest = read_table(IMAGES / figures["dataset"] / "manifest.parquet", "manifest")
    judged = manifest[manifest["split"].isin(["validate", "test"])]
    segmented = figures["kind"] == "segmentation"
    folder = Path("predictions/finetune") / task
    rows = read_table(folder / "pretrained_100_percent.parquet", "segmentations" if segmented else "predictions")
    assert set(rows["image_id"]) == set(judged["image_id"])
    positive = rows["truth_pixels"] > 0 if segmented else rows["truth"] == 1
    counted = [sum(figures["images"][split]["positives"].values()) for split in ("validate", "test")]
    assert positive.sum() == sum(counted) > 0
