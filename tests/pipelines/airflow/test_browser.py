"""What a user does in the browser: log in, open the DAG, change the form, trigger, watch, and follow the links."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from components.core.params import read_yaml
from components.core.records.digests import folder_digest
from components.core.records.whole import read_json
from pipelines.airflow.client import run_path
from tests.finished_run import Finished
from tests.pipelines.airflow.stack import DAG, Stack, parent_of, until

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def shot(page: Any, repository: Path) -> Callable[[str], None]:
    """Keeps a picture of the page in `.state/screenshots`."""
    folder = repository / ".state/screenshots"

    def take(name: str) -> None:
        page.wait_for_timeout(1500)  # for fades to end
        page.screenshot(path=folder / f"{name}.png")

    return take


def open_form(page: Any, stack: Stack) -> None:
    page.goto(f"{stack.services.airflow}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    page.locator("[name='element_revision']").wait_for()


def submit(page: Any) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Trigger").last.click()


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


def trigger_from_the_form(page: Any, stack: Stack, shot: Callable[[str], None], seed: int) -> str:
    """Fill in the form and submit it: the name of the run that it starts."""
    open_form(page, stack)
    shot("form_choices")
    page.get_by_role("button", name="zero_shot").click()
    field = page.locator("input[name='element_zero_shot.seed']")
    assert field.input_value() == str(read_yaml(stack.folder / "params.yaml")["zero_shot"]["seed"])
    field.fill(str(seed))
    field.scroll_into_view_if_needed()
    assert page.get_by_text("Seed of the bootstrap. Allowed: a whole number").first.is_visible()
    shot("form_section")
    submit(page)
    page.wait_for_url(re.compile(rf"/dags/{DAG}/runs/manual"))
    return unquote(page.url.split("/runs/")[1].split("/")[0].split("?")[0])


def follow_the_links(page: Any, stack: Stack, run: str, shot: Callable[[str], None]) -> None:
    """From the run's last task to its page in MLflow, and to the model's."""
    page.goto(f"{stack.services.airflow}/dags/{DAG}/runs/{run}/tasks/publish/details")
    page.goto(page.get_by_role("link", name="MLflow").first.get_attribute("href"))
    page.get_by_text(f"run {DAG}.{run}").first.wait_for()
    shot("mlflow_run")
    page.goto(f"{stack.services.mlflow}/#/models/medslip/versions/1")
    page.get_by_text("medslip").first.wait_for()
    shot("mlflow_model_version")
    assert page.get_by_text("Version 1").first.is_visible()


def assert_own_result(stack: Stack, finished: Finished, client: Any, run: str, seed: int) -> float:
    """What was computed before is restored, evaluation is the run's own: the lower end of its interval."""
    assert_recorded(stack, client, run, seed)
    assert "pretrain: restored from the cache" in stack.log(run, "pretrain")
    assert "zero_shot@mimic_cxr: ran" in stack.log(run, "zero_shot@mimic_cxr")
    for folder in ("models/pretrained", "data/findings", "data/images/mimic_cxr"):
        assert folder_digest(stack.workspace(run) / folder) == folder_digest(finished.folder / folder)
    assert read_yaml(stack.workspace(run) / "params.yaml")["zero_shot"]["seed"] == seed
    macro = read_json(stack.workspace(run) / "metrics/zero_shot/mimic_cxr.json")["auroc"]["macro"]
    assert macro["value"] == read_json(finished.folder / "metrics/zero_shot/mimic_cxr.json")["auroc"]["macro"]["value"]
    return float(macro["low"])


@pytest.mark.hard
def test_a_run_from_the_terminal_and_one_from_the_form_at_once_each_have_their_own_result(
    page: Any, stack: Stack, finished: Finished, client: Any, shot: Callable[[str], None]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        terminal = pool.submit(stack.module, "pipelines.airflow.demo", "--set", "zero_shot.seed=21")
        second = trigger_from_the_form(page, stack, shot, seed=22)
        page.get_by_label("Show Graph").or_(page.get_by_role("button", name="Graph")).first.click()
        until(lambda: stack.states(second).get("inventory@mimic_cxr") == "success", "the first stages")
        shot("run_in_progress")
        assert stack.ended(second) == "success", stack.states(second)
        done = terminal.result()
    page.reload()
    page.get_by_text("Success").first.wait_for()
    shot("run_green")
    assert set(stack.states(second).values()) == {"success"}
    assert page.get_by_text("failed", exact=True).count() == 0
    assert done.returncode == 0, done.stdout
    assert_terminal(done.stdout, stack.services.airflow)
    first = done.stdout.splitlines()[0].rsplit("/", 1)[1]
    lows = [assert_own_result(stack, finished, client, run, seed) for run, seed in ((first, 21), (second, 22))]
    assert lows[0] != lows[1]  # another seed of the bootstrap
    changed = stack.module("dvc", "status", "pretrain").stdout
    assert "up to date" in changed, changed  # the user's own checkout
    follow_the_links(page, stack, second, shot)


def test_a_value_out_of_range_is_refused_with_the_reason_in_the_form(
    page: Any, stack: Stack, shot: Callable[[str], None]
) -> None:
    before = stack.client.get(f"/dags/{DAG}/dagRuns")["total_entries"]
    open_form(page, stack)
    page.get_by_role("button", name="pretrain").click()
    field = page.locator("input[name='element_pretrain.epochs']")
    field.fill("20000")
    field.blur()
    assert field.input_value() == "20000"  # not silently another number
    submit(page)
    page.get_by_text("Invalid input for param pretrain.epochs: 20000 is greater than the maximum of 10000").wait_for()
    shot("form_refused")
    assert stack.client.get(f"/dags/{DAG}/dagRuns")["total_entries"] == before
