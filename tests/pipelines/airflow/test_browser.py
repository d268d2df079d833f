"""What a user does in the browser: log in, open the DAG, change the form, trigger, watch, and follow the links."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from components.core.params import read_yaml
from tests.pipelines.airflow.conftest import SEEDS, AtOnce
from tests.pipelines.airflow.stack import DAG, Stack, until

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


def test_trigger_with_another_parameter_and_watch_it_turn_green(
    page: Any, stack: Stack, at_once: AtOnce, shot: Callable[[str], None]
) -> None:
    open_form(page, stack)
    shot("form_choices")
    page.get_by_role("button", name="zero_shot").click()
    field = page.locator("input[name='element_zero_shot.seed']")
    assert field.input_value() == str(read_yaml(stack.folder / "params.yaml")["zero_shot"]["seed"])
    field.fill(str(SEEDS[1]))
    field.scroll_into_view_if_needed()
    assert page.get_by_text("Seed of the bootstrap. Allowed: a whole number at least 0").is_visible()
    shot("form_section")
    submit(page)
    page.wait_for_url(re.compile(rf"/dags/{DAG}/runs/manual"))
    run = unquote(page.url.split("/runs/")[1].split("/")[0].split("?")[0])
    at_once.beside = run
    page.get_by_label("Show Graph").or_(page.get_by_role("button", name="Graph")).first.click()
    until(lambda: stack.states(run).get("inventory@mimic_cxr") == "success", "the first stages")
    shot("run_in_progress")
    assert stack.ended(run) == "success", stack.states(run)
    page.reload()
    page.get_by_text("Success").first.wait_for()
    shot("run_green")
    assert set(stack.states(run).values()) == {"success"}
    assert page.get_by_text("failed", exact=True).count() == 0
    assert read_yaml(stack.workspace(run) / "params.yaml")["zero_shot"]["seed"] == SEEDS[1]
    page.goto(f"{stack.services.airflow}/dags/{DAG}/runs/{run}/tasks/publish/details")
    link = page.get_by_role("link", name="MLflow").first
    address = link.get_attribute("href")
    page.goto(address)
    page.get_by_text(f"run {DAG}.{run}").first.wait_for()
    shot("mlflow_run")
    page.goto(f"{stack.services.mlflow}/#/models/medslip/versions/1")
    page.get_by_text("medslip").first.wait_for()
    shot("mlflow_model_version")
    assert page.get_by_text("Version 1").first.is_visible()


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
