"""The whole pipeline with the tiny profile: every stage, then what runs again and what does not."""

import re
import sys
from typing import Any

import mlflow
import numpy as np
import pytest

from components.core import tracking
from components.core.records.whole import read_json
from pipelines.graph import read_graph
from tests.finished_run import Finished

pytestmark = pytest.mark.slow


def rows(output: str) -> dict[str, str]:
    """What became of each stage, by the summary."""
    return dict(re.findall(r"^(\S+) +(ran|restored|unchanged|failed|not run)\b", output, re.MULTILINE))


@pytest.fixture
def client(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracking.kept_in(finished.folder) / 'mlflow.db'}")
    return tracking.connect()


def test_every_stage_ran_and_left_what_it_declares(finished: Finished) -> None:
    assert finished.status == 0, finished.output
    graph = read_graph(finished.folder)
    assert rows(finished.output) == dict.fromkeys(graph.stages, "ran")
    for stage in graph.stages.values():
        for path in stage.outs:
            assert (finished.folder / path).exists(), path


def test_counts_add_up_along_the_way(finished: Finished) -> None:
    metrics = finished.folder / "metrics"
    phantom = read_json(metrics / "phantom.json")
    for dataset in ("mimic_cxr", "rsna_pneumonia"):
        listed, taken = (read_json(metrics / stage / f"{dataset}.json") for stage in ("inventory", "ingest"))
        assert listed["images"] == phantom[dataset]["images"] == taken["manifest"] + taken["rejected"]
    value = read_json(metrics / "zero_shot/mimic_cxr.json")["auroc"]["macro"]["value"]
    assert 0 <= value <= 1


def test_mlflow_shows_one_run_with_a_child_for_each_stage(finished: Finished, client: Any) -> None:
    runs = client.search_runs([tracking.experiment_id(client)])
    (parent,) = [run for run in runs if tracking.KEY_TAG in run.data.tags and not tracked_again(run, runs)]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert parent.info.status == "FINISHED"
    assert sorted(run.info.run_name for run in children) == sorted(read_graph(finished.folder).stages)
    assert {run.info.status for run in children} == {"FINISHED"}
    by_name = {run.info.run_name: run for run in children}
    figures = read_json(finished.folder / "metrics/zero_shot/mimic_cxr.json")
    logged = by_name["zero_shot@mimic_cxr"].data
    assert logged.metrics["auroc.macro.value"] == pytest.approx(figures["auroc"]["macro"]["value"])
    assert logged.params["bootstrap"] == "100"
    assert by_name["pretrain"].data.metrics["loss"] > 0
    assert "commit" in "".join(parent.data.tags)


def tracked_again(run: Any, runs: list[Any]) -> bool:
    """Whether a parent is one of a later run, whose children were restored."""
    return any(
        child.data.tags.get("mlflow.parentRunId") == run.info.run_id and tracking.RESTORED_TAG in child.data.tags
        for child in runs
    )


def test_the_registered_model_predicts(finished: Finished, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # a loaded model brings its own code, for this test alone
    version = client.get_model_version_by_alias("medslip", "champion")
    assert version.tags["medslip.digest"] == read_json(finished.folder / "models/registration.json")["digest"]
    model = mlflow.pyfunc.load_model("models:/medslip@champion")
    images_BHW = np.load(finished.folder / "data/images/rsna_pneumonia/shard-00000.npy")[:3]
    answers = model.predict(images_BHW)
    assert len(answers) == 3
    assert answers.to_numpy().min() >= 0
    assert answers.to_numpy().max() <= 1


def test_nothing_but_the_listing_runs_again(finished: Finished) -> None:
    done = finished.run("dvc", "repro")
    assert done.returncode == 0, done.stdout
    ran = set(re.findall(r"^Running stage '(.+)':", done.stdout, re.MULTILINE))
    assert ran == {"initial", "inventory@mimic_cxr", "inventory@rsna_pneumonia"}
    status = finished.run("dvc", "status").stdout
    assert set(re.findall(r"^(\S+):$", status, re.MULTILINE)) == ran  # always changed, and nothing else is


def test_a_parameter_of_evaluation_leaves_the_rest_alone(finished: Finished, client: Any) -> None:
    done = finished.run("pipelines", "run", "--set", "zero_shot.seed=11")
    assert done.returncode == 0, done.stdout
    found = rows(done.stdout)
    again = {"zero_shot@mimic_cxr", "zero_shot@rsna_pneumonia", "model_card", "register"}
    listing = {"initial", "inventory@mimic_cxr", "inventory@rsna_pneumonia"}
    assert {address for address, how in found.items() if how == "ran"} == again | listing
    assert {how for address, how in found.items() if address not in again | listing} == {"restored"}
    restored = client.search_runs(
        [tracking.experiment_id(client)],
        f"tags.`{tracking.STAGE_TAG}` = 'pretrain' and tags.`{tracking.RESTORED_TAG}` != ''",
    )
    origin = client.get_run(restored[0].data.tags[tracking.RESTORED_TAG])
    assert origin.info.run_name == "pretrain"
    assert len(client.search_model_versions("name = 'medslip'")) == 1  # the same model is registered once


def test_a_wrong_parameter_stops_before_anything_runs(finished: Finished) -> None:
    done = finished.run("pipelines", "run", "--set", "pretrain.epochs=0")
    assert done.returncode == 2
    assert done.stdout.strip() == (
        "error: the parameters of the run: pretrain.epochs: 0 is not allowed; it must be a whole number at least 1 and "
        "at most 10,000"
    )


def test_dvc_shows_metrics_and_what_differs(finished: Finished) -> None:
    shown = finished.run("dvc", "metrics", "show", "--md", "--precision", "6")
    value = read_json(finished.folder / "metrics/zero_shot/mimic_cxr.json")["auroc"]["macro"]["value"]
    table = [line for line in shown.stdout.splitlines() if line.startswith("|")]
    assert any("zero_shot_mimic_cxr" in line and f"{value:.6}" in line for line in table), shown.stdout
    assert max(map(len, table)) < 200  # what a terminal still shows in one or two lines
    assert finished.run("dvc", "plots", "show", "-o", str(finished.folder / ".state/plots")).returncode == 0
    params = finished.folder / "params.yaml"
    before = params.read_text(encoding="utf-8")
    params.write_text(before.replace("overlays: 4", "overlays: 5"), encoding="utf-8")
    try:
        assert re.search(r"zero_shot\.overlays\s+4\s+5", finished.run("dvc", "params", "diff").stdout)
    finally:
        params.write_text(before, encoding="utf-8")
