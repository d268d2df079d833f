"""Runs in a real Airflow: in parallel, wrong, failing, cancelled, retried, killed, and started by new images."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from components.core import tracking
from components.core.records.digests import folder_digest
from components.core.records.whole import read_json
from pipelines.airflow.client import Refused, run_path
from pipelines.airflow.demo import title
from tests.finished_run import Finished
from tests.pipelines.airflow.conftest import SEEDS, AtOnce
from tests.pipelines.airflow.stack import DAG, Stack, until

pytestmark = pytest.mark.slow


@pytest.fixture
def client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the stack's MLflow."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stack.services.mlflow)
    return tracking.connect()


def parent_of(client: Any, run: str) -> Any:
    experiment = tracking.experiment_id(client)
    (found,) = client.search_runs([experiment], f"tags.`{tracking.KEY_TAG}` = '{DAG}.{run}'")
    return found


def versions(client: Any) -> list[tuple[str, str, str]]:
    return [
        (version.version, version.tags["medslip.digest"], str(client.get_registered_model("medslip").aliases))
        for version in client.search_model_versions("name = 'medslip'")
    ]


def assert_recorded(stack: Stack, client: Any, run: str, seed: int) -> None:
    """The run's parameters and links stand in MLflow and in its note."""
    parent, note = parent_of(client, run), stack.client.run(DAG, run)["note"]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["zero_shot.seed"] == str(seed)
    assert f"changed: zero_shot.seed = {seed}" in note
    assert f"{stack.services.mlflow}/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}" in note
    assert "/artifacts/index.html" in note
    assert "model: medslip version 1, alias champion" in note
    links = stack.client.get(f"{run_path(DAG, run)}/taskInstances/pretrain/links")["extra_links"]
    assert links["MLflow"].startswith(f"{stack.services.mlflow}/#/")


def assert_terminal(output: str, address: str) -> None:
    """The demo shows its progress task by task, and ends with the model's registry entry."""
    lines = output.splitlines()
    assert lines[0].startswith(f"{address}/dags/{DAG}/runs/")
    shown = [line.split()[3] for line in lines if line.endswith("running") or " success" in line]
    assert shown.index("phantom") < shown.index("pretrain") < shown.index("publish")
    assert "zero_shot@mimic_cxr" in shown
    assert any("model: medslip version 1, alias champion" in line for line in lines[-10:])


@pytest.mark.hard
def test_two_runs_at_once_each_have_their_own_result(
    stack: Stack, at_once: AtOnce, finished: Finished, client: Any
) -> None:
    second = at_once.beside or stack.trigger(zero_shot__seed=SEEDS[1])
    assert stack.ended(second) == "success", stack.states(second)
    done = at_once.terminal.result()
    assert done.returncode == 0, done.stdout
    assert_terminal(done.stdout, stack.services.airflow)
    first = done.stdout.splitlines()[0].rsplit("/", 1)[1]
    begun, ended = (
        [stack.client.run(DAG, run)[when] for run in (first, second)] for when in ("start_date", "end_date")
    )
    assert max(begun) < min(ended)
    figures = [
        read_json(stack.workspace(run) / "metrics/zero_shot/mimic_cxr.json")["auroc"]["macro"]
        for run in (first, second)
    ]
    assert figures[0]["value"] == figures[1]["value"]
    assert figures[0]["low"] != figures[1]["low"]  # another seed of the bootstrap
    for run, seed in zip((first, second), SEEDS, strict=True):
        assert_recorded(stack, client, run, seed)
        assert "pretrain: restored from the cache" in stack.log(run, "pretrain")
        assert "zero_shot@mimic_cxr: ran" in stack.log(run, "zero_shot@mimic_cxr")
        for folder in ("models/pretrained", "data/findings", "data/images/mimic_cxr"):
            assert folder_digest(stack.workspace(run) / folder) == folder_digest(finished.folder / folder)
    changed = stack.module("dvc", "status", "pretrain").stdout
    assert "up to date" in changed, changed  # the user's own checkout


def test_the_demo_refuses_what_the_form_refuses(stack: Stack) -> None:
    refused = stack.module("pipelines.airflow.demo", "--set", "pretrain.epochs=0")
    assert (refused.returncode, "0 is less than the minimum of 1" in refused.stdout) == (2, True)
    unknown = stack.module("pipelines.airflow.demo", "--set", "pretrain.epohcs=1")
    assert (unknown.returncode, "'pretrain.epohcs' is no parameter" in unknown.stdout) == (2, True)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"pretrain.epochs": 20_000}, "20000 is greater than the maximum of 10000"),
        ({"runner": "moon"}, "'moon' is not one of ['process', 'docker']"),
    ],
)
def test_a_wrong_parameter_is_refused_before_there_is_a_run(
    stack: Stack, parameters: dict[str, Any], reason: str
) -> None:
    before = stack.client.get(f"/dags/{DAG}/dagRuns")["total_entries"]
    with pytest.raises(Refused, match=re.escape(reason)):
        stack.client.trigger(DAG, parameters)
    assert stack.client.get(f"/dags/{DAG}/dagRuns")["total_entries"] == before


def test_what_only_the_parameters_together_tell_is_refused_by_prepare(stack: Stack) -> None:
    for parameters, reason in (
        ({"pretrain__model__heads": 3}, "pretrain.model: width must be a multiple of heads"),
        ({"revision": "nowhere"}, "git knows no revision 'nowhere'"),
        ({"pretrain__epohcs": 3}, "there is no parameter 'pretrain.epohcs' in the form"),
    ):
        run = stack.trigger(**parameters)
        assert stack.ended(run) == "failed"
        states = stack.states(run)
        assert states.pop("prepare") == "failed"
        assert set(states.values()) == {"upstream_failed"}
        assert reason in stack.log(run, "prepare")
        assert reason in stack.client.run(DAG, run)["note"]
        assert not stack.workspace(run).exists()


def test_a_stage_that_fails_is_red_with_its_reason_and_the_registry_is_as_it_was(stack: Stack, client: Any) -> None:
    before = versions(client)
    run = stack.trigger(quality__min_images=1_000_000)
    assert stack.ended(run) == "failed"
    states = stack.states(run)
    assert states["quality@mimic_cxr"] == "failed"
    assert {states[name] for name in ("pretrain", "register", "publish")} == {"upstream_failed"}
    task = stack.task(run, "quality@mimic_cxr")
    assert task["try_number"] == 1  # a gate that says no says so again
    last = stack.log(run, "quality@mimic_cxr").splitlines()[-30:]
    assert any(re.search("AirflowFailException: .*a gate said no.*: gate failed: 1 expectation", line) for line in last)
    assert any("at least 1000000 images were accepted" in line for line in last), last
    assert any(str(stack.workspace(run)) in line for line in last), last
    assert "quality@mimic_cxr" in stack.client.run(DAG, run)["note"]
    assert parent_of(client, run).info.status == "FAILED"
    assert versions(client) == before


@pytest.mark.hard
def test_a_run_that_loses_a_stage_is_cancelled_cleared_and_loses_its_scheduler_ends_green(
    stack: Stack, finished: Finished, client: Any
) -> None:
    run = stack.trigger(force=["knowledge", "pretrain"])
    until(lambda: stack.stage_runs(run, "knowledge"), "knowledge")
    group = read_json(stack.workspace(run) / ".state/stages/knowledge/group")["group"][0]
    os.killpg(group, 9)  # as the kernel does when memory is short
    until(lambda: stack.states(run)["knowledge"] == "up_for_retry", "the retry", 180)
    until(lambda: stack.states(run)["knowledge"] == "success", "the second try")
    assert stack.task(run, "knowledge")["try_number"] == 2
    until(lambda: stack.stage_runs(run, "pretrain"), "pretrain")
    assert stack.processes_in(stack.workspace(run))
    stack.fail(run)
    until(lambda: not stack.processes_in(stack.workspace(run)), "the end of the stage's processes", 180)
    assert stack.state(run) == "failed"
    until(lambda: parent_of(client, run).info.status == "KILLED", "MLflow to know of it", 180)
    clear = {"dag_run_id": run, "task_ids": ["pretrain"], "include_downstream": True, "only_failed": False}
    stack.client.post(f"/dags/{DAG}/clearTaskInstances", {**clear, "dry_run": False})
    until(lambda: stack.stage_runs(run, "pretrain"), "pretrain again")
    stack.kill("airflow-scheduler")
    until(lambda: not stack.services.running("airflow-scheduler"), "the scheduler's end", 30)
    output = stack.start()
    assert "starting airflow-scheduler" in output
    assert "starting mlflow" not in output  # what runs is left alone
    assert stack.ended(run) == "success", stack.states(run)
    assert "pretrain: ran" in stack.log(run, "pretrain")
    assert parent_of(client, run).info.status == "FINISHED"
    for folder in ("models/pretrained", "models/knowledge"):
        assert folder_digest(stack.workspace(run) / folder) == folder_digest(finished.folder / folder)


def counts(stack: Stack) -> dict[str, int]:
    counted: dict[str, int] = read_json(stack.folder / "workspaces/arrivals/.state/counts.json")
    return counted


def look(stack: Stack) -> str:
    """One look of the DAG that watches the archives: the state of its task."""
    run = stack.client.trigger("medslip_arrivals", {"grown_by": 3})
    path = f"/dags/medslip_arrivals/dagRuns/{run.replace('+', '%2B')}"
    until(lambda: stack.client.get(path)["state"] in ("success", "failed"), "the look")
    (task,) = stack.client.tasks("medslip_arrivals", run)
    return str(task["state"])


def test_new_images_start_a_run_and_few_or_none_do_not(stack: Stack) -> None:
    def started_by_assets() -> list[Any]:
        return list(stack.client.get(f"/dags/{DAG}/dagRuns?run_type=asset_triggered")["dag_runs"])

    stack.client.patch("/dags/medslip_arrivals", {"is_paused": False})
    assert look(stack) == "success"
    first = until(started_by_assets, "the run that the asset starts", 180)
    assert look(stack) == "skipped"
    before, params = counts(stack), (stack.folder / "params.yaml").read_text(encoding="utf-8")
    try:
        stack.set_params("rsna_pneumonia: 43")
        assert look(stack) == "skipped"  # three more, not more than three
        stack.set_params("rsna_pneumonia: 44")
        assert look(stack) == "success"
        runs = until(lambda: len(started_by_assets()) > len(first) and started_by_assets(), "the second run", 180)
    finally:
        (stack.folder / "params.yaml").write_text(params, encoding="utf-8")
        stack.client.patch("/dags/medslip_arrivals", {"is_paused": True})
    assert counts(stack)["rsna_pneumonia"] == before["rsna_pneumonia"] + 4
    for run in runs:
        stack.fail(run["dag_run_id"])
    for run in runs:
        folder = stack.workspace(run["dag_run_id"])
        until(lambda folder=folder: not stack.processes_in(folder), "the end of the run", 180)


def test_services_are_on_loopback_only_and_their_secrets_are_the_users(stack: Stack) -> None:
    inodes = set()
    for pid in stack.services.processes():
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(os.readlink(link).removeprefix("socket:[").rstrip("]"))
            except OSError:
                continue
    listening = [
        fields[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[9] in inodes
    ]
    assert listening
    assert {address.split(":")[0] for address in listening} == {"0100007F"}, listening
    assert stack.services.passwords.stat().st_mode & 0o077 == 0
    config = stack.services.airflow_home / "airflow.cfg"
    assert not config.exists() or config.stat().st_mode & 0o077 == 0
    assert len(stack.services.password()) >= 12


def test_starting_twice_changes_nothing_and_a_taken_port_is_named(stack: Stack) -> None:
    before = sorted(stack.services.processes())
    output = stack.start()
    assert "starting" not in output
    assert f"user admin, password {stack.services.password()}" in output
    assert set(before) & set(stack.services.processes())
    other = Stack(stack.folder.parent / "other", Path(stack.settings["MEDSLIP_AIRFLOW_ENVIRONMENT"]).parent)
    other.folder.mkdir()
    other.environment["MEDSLIP_MLFLOW_PORT"] = stack.settings["MEDSLIP_MLFLOW_PORT"]
    for name in ("components", "pipelines", "dags", "dvc.yaml", "params.yaml"):
        (other.folder / name).symlink_to(stack.folder / name)
    done = other.module("pipelines.services", "start")
    assert done.returncode == 2
    assert f"port {stack.settings['MEDSLIP_MLFLOW_PORT']} for mlflow is taken by another program" in done.stdout
    assert other.module("pipelines.services", "stop").returncode == 0
    assert title({"task_id": "a", "rendered_map_index": None, "map_index": 2}) == "a@2"
