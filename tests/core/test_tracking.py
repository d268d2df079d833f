"""What MLflow holds after stages have run, and that nothing is lost where it does not answer."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.core import tracking
from components.core.params import Params, load
from components.core.trouble import TryAgain

FIGURES = {"auroc": {"macro": {"value": 0.8, "low": None}}, "names": ["a"], "losses": [2, 1.5], "good": True}


@pytest.fixture
def params(repository: Path) -> Params:
    return load(repository / "params.yaml")


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of MLflow without runs: making one takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        tracking.connect().search_experiments()
    return path.read_bytes()


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: bytes) -> Iterator[Path]:
    (tmp_path / "mlflow.db").write_bytes(empty_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef")  # a stage must not fall into somebody's run
    monkeypatch.delenv(tracking.PIPELINE_RUN_VARIABLE, raising=False)
    yield tmp_path / "mlflow.db"
    monkeypatch.undo()


def runs() -> dict[str, Any]:
    """All runs by name, the latest of a name."""
    client = tracking.connect()
    return {run.info.run_name: run for run in reversed(client.search_runs([tracking.experiment_id(client)]))}


def parents() -> list[Any]:
    return [run for run in runs().values() if tracking.KEY_TAG in run.data.tags]


def test_a_stage_is_a_child_with_parameters_metrics_figures_and_files(params: Params, tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(b"png")
    with tracking.stage_run("pretrain", None, params) as run:
        assert tracking.active() is run
        run.log_history([(1, {"loss": 2.0}), (2, {"loss": 3.0})])
        run.log_metrics({"loss": 1.0}, 3)
        run.log_figures(FIGURES)
        run.log_artifact(tmp_path / "plot.png")
    child, (parent,) = runs()["pretrain"], parents()
    assert child.info.status == parent.info.status == "FINISHED"
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params["model.trunk.hidden_sizes.2"] == str(params.pretrain.model.trunk.hidden_sizes[2])
    assert parent.data.params["pretrain.epochs"] == str(params.pretrain.epochs)
    assert child.data.metrics == {
        "loss": 1.0, "auroc.macro.value": 0.8, "losses.0": 2.0, "losses.1": 1.5, "good": 1.0,
    }  # fmt: skip
    history = tracking.connect().get_metric_history(child.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 3.0), (3, 1.0)]
    assert list((tmp_path / "mlartifacts").rglob("plot.png"))


def test_stages_of_one_commit_and_parameters_share_their_parent(params: Params) -> None:
    for item in ("mimic_cxr", "rsna_pneumonia"):
        with tracking.stage_run("zero_shot", item, params):
            pass
    assert len(parents()) == 1
    other = params.model_copy(update={"zero_shot": params.zero_shot.model_copy(update={"seed": 8})})
    with tracking.stage_run("zero_shot", "mimic_cxr", other):
        pass
    assert len(parents()) == 2


def test_a_launcher_names_the_run_and_ends_it(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracking.PIPELINE_RUN_VARIABLE, "manual__2026-01-02T03:04:05+00:00")
    with tracking.pipeline_run(params):
        with tracking.stage_run("pretrain", None, params):
            pass
        (parent,) = parents()
        assert parent.info.status == "RUNNING"
        assert parent.data.tags[tracking.KEY_TAG] == "manual__2026-01-02T03:04:05+00:00"
    assert parents()[0].info.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (TryAgain, "KILLED")]
)
def test_a_stage_that_raises_ends_its_run(params: Params, error: type[BaseException], status: str) -> None:
    def fail() -> None:
        with tracking.stage_run("finetune", "rsna_pneumonia", params):
            raise error

    with pytest.raises(error):
        fail()
    assert runs()["finetune@rsna_pneumonia"].info.status == status
    assert tracking.active().run_id is None


def test_data_stages_do_not_import_mlflow(repository: Path) -> None:
    code = """
import sys
from components.core import params, tracking
for stage in tracking.DATA_STAGES:
    with tracking.stage_run(stage, None, params.load()) as run:
        run.log_figures({"images": 3})
        run.log_metrics({"images": 3}, 1)
        run.log_artifact(params.Path("params.yaml"))
assert "mlflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)


def test_the_launcher_logs_what_a_data_stage_found_once(params: Params) -> None:
    for _ in range(2):
        tracking.log_stage("ingest", "mimic_cxr", params, {"images": 3}, seconds=90)
    client = tracking.connect()
    children = client.search_runs([tracking.experiment_id(client)], f"tags.`{tracking.STAGE_TAG}` = 'ingest'")
    assert [child.data.metrics for child in children] == [{"images": 3.0}]
    assert 90_000 <= children[0].info.end_time - children[0].info.start_time < 120_000
    tracking.log_stage("ingest", "mimic_cxr", params, {"images": 4})
    assert runs()["ingest@mimic_cxr"].data.metrics == {"images": 4.0}


def test_the_launcher_adds_nothing_to_a_stage_that_logged_itself(params: Params) -> None:
    with tracking.stage_run("pretrain", None, params) as run:
        run.log_figures(FIGURES)
    before = len(tracking.connect().search_runs([tracking.experiment_id(tracking.connect())]))
    tracking.log_stage("pretrain", None, params, FIGURES)
    assert len(tracking.connect().search_runs([tracking.experiment_id(tracking.connect())])) == before


def test_a_restored_stage_points_to_the_run_that_computed_it(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    with tracking.stage_run("pretrain", None, params) as run:
        run.log_figures(FIGURES)
    origin = runs()["pretrain"].info.run_id
    monkeypatch.setenv(tracking.PIPELINE_RUN_VARIABLE, "another")
    tracking.log_stage("pretrain", None, params, FIGURES, restored=True)
    tracking.log_stage("reports", None, params, {"reports": 5}, restored=True)
    assert runs()["pretrain"].data.tags[tracking.RESTORED_TAG] == origin
    assert runs()["pretrain"].data.metrics["auroc.macro.value"] == 0.8
    assert runs()["reports"].data.tags[tracking.RESTORED_TAG] == "cache"


def test_a_stage_whose_process_vanished_is_ended(params: Params) -> None:
    code = """
import os
from components.core import params, tracking
with tracking.stage_run("pretrain", None, params.load()):
    os._exit(9)
"""
    repository = Path(tracking.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=False)
    assert runs()["pretrain"].info.status == "RUNNING"
    os.chdir(repository)
    tracking.log_stage("pretrain", None, params, None, status="FAILED")
    assert runs()["pretrain"].info.status == "FAILED"


def start_and_end(arguments: tuple[Params, str]) -> None:
    params, item = arguments
    with tracking.stage_run("zero_shot", item, params) as run:
        run.log_figures(FIGURES)


@pytest.mark.slow
def test_stages_that_start_at_once_find_one_parent(params: Params) -> None:
    items = [f"item{number}" for number in range(4)]
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(start_and_end, [(params, item) for item in items]))
    children = [run for name, run in runs().items() if name.startswith("zero_shot@")]
    assert len(parents()) == 1
    assert {child.info.status for child in children} == {"FINISHED"}
    assert len(children) == 4


def test_work_is_not_lost_where_mlflow_does_not_answer(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # discard: nobody listens
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with tracking.pipeline_run(params), tracking.stage_run("pretrain", None, params) as run:
        run.log_metrics({"loss": 1.0}, 1)
        run.log_figures(FIGURES)
    tracking.log_stage("pretrain", None, params, FIGURES)
    warnings = capsys.readouterr().err.strip().splitlines()
    assert len(warnings) == 3
    assert all(line.startswith("warning: MLflow at http://127.0.0.1:9: the run of ") for line in warnings)


def test_a_step_that_fails_to_log_makes_a_pause_not_a_flood(
    params: Params, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracking.stage_run("pretrain", None, params) as run:
        content = database.read_bytes()
        database.write_bytes(b"no database")
        for step in range(5):
            run.log_metrics({"loss": 1.0}, step)
        database.write_bytes(content)
        run.log_figures(FIGURES)
    assert capsys.readouterr().err.count("warning: ") == 1
    assert runs()["pretrain"].data.metrics["auroc.macro.value"] == 0.8


def test_the_address_is_the_main_checkouts_also_from_a_worktree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    main, tree = tmp_path / "main", tmp_path / "tree"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(main)], check=True)
    (main / "code.py").write_text("1\n", encoding="utf-8")
    (main / "dvc.lock").write_text("1\n", encoding="utf-8")
    subprocess.run([*git, "add", "."], cwd=main, check=True)
    subprocess.run([*git, "commit", "-qm", "one"], cwd=main, check=True)
    subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree)], cwd=main, check=True)
    for folder in (main, tree):
        monkeypatch.chdir(folder)
        assert tracking.address() == f"sqlite:///{main / '.state/mlflow/mlflow.db'}"
    (tree / "dvc.lock").write_text("2\n", encoding="utf-8")  # what a run itself changes
    clean = tracking.commit()
    assert len(clean) == 40
    (tree / "code.py").write_text("2\n", encoding="utf-8")
    assert tracking.commit() == f"{clean}-dirty"
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    assert tracking.commit() == "unversioned"
    assert tracking.main_checkout() == outside


def test_a_run_that_is_killed_takes_its_unfinished_stages_along(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.PIPELINE_RUN_VARIABLE, "cancelled")
    tracking.start_pipeline(params, {"medslip.request": "by hand"})
    with tracking.stage_run("knowledge", None, params):
        pass
    tracking._start("pretrain", None, params)  # its process is killed before it can end its run
    tracking.end_pipeline(params, "KILLED")
    found = runs()
    assert (found["knowledge"].info.status, found["pretrain"].info.status) == ("FINISHED", "KILLED")
    (parent,) = parents()
    assert (parent.info.status, parent.data.tags["medslip.request"]) == ("KILLED", "by hand")


def test_what_is_exclusive_happens_one_after_another() -> None:
    order: list[str] = []

    def work(name: str) -> None:
        with tracking.exclusive("model medslip"):
            order.append(f"{name} begins")
            time.sleep(0.2)
            order.append(f"{name} ends")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ["one", "two"]))
    assert order in (
        ["one begins", "one ends", "two begins", "two ends"],
        ["two begins", "two ends", "one begins", "one ends"],
    )


def test_a_run_shows_headlines_before_classes_and_classes_before_their_intervals() -> None:
    classes = {f"c{number:03d}": {"value": 0.5, "low": 0.4, "high": 0.6, "positives": 9} for number in range(200)}
    macro = {"value": 0.8, "low": 0.7, "high": 0.9}
    figures = {"auroc": {"per_class": classes, "macro": macro}, "dice": {"value": 0.3}}
    found = tracking.shown(figures)
    assert len(found) == tracking.MOST_SHOWN
    assert {"auroc.macro.value", "auroc.macro.low", "auroc.macro.high", "dice.value"} <= set(found)
    assert {path for path in found if "per_class" in path} == {f"auroc.per_class.c{n:03d}.value" for n in range(146)}
    assert tracking.shown({"a": 1, "b": {"c": 2.5}}) == {"a": 1, "b.c": 2.5}
