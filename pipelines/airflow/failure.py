"""What is said when a task has failed for good."""

from pathlib import Path
from typing import Any

from components.core.records.whole import read_json
from pipelines.airflow.commands import CHECKOUT, run_command
from pipelines.airflow.notes import last_lines, reason, write_note
from pipelines.airflow.tasks import run_name, workspace
from pipelines.scheduled import RUN
from pipelines.stage import STATE

LINES = 20


def failures_in(folder: Path) -> list[str]:
    """Why stages of a workspace have failed, a line each."""
    notes = sorted((folder / STATE).glob("*/outcome.json"))
    failed = [outcome for note in notes if (outcome := read_json(note))["status"]]
    return [f"{outcome['address']} failed: {reason(Path(outcome['log']))}" for outcome in failed]


def report_failure(context: Any) -> None:
    """Airflow's failure callback: the last lines of the stage's log and the workspace, in the task's log and note."""
    failed, folder = context["task_instance"].task, workspace(context)
    stage, item = getattr(failed, "stage", None), getattr(failed, "item", None)
    if not (folder / RUN).is_file():  # prepare has refused the run: there is nothing to look at
        write_note(context, [f"{failed.task_id} failed: {context.get('exception')}"], {}, failed.log)
        return
    run_command(["publish", "--ended", "FAILED", "--workspace", str(folder)], CHECKOUT, run_name(context),
                folder / ".state/failed", lambda line: failed.log.info("%s", line))  # fmt: skip
    run = read_json(folder / RUN)
    told = failures_in(folder)
    name = f"{stage}@{item}" if item else stage or failed.task_id
    if not any(line.startswith(f"{name} failed") for line in told):
        told.append(f"{name} failed: {context.get('exception')}")
    write_note(context, [*told, *run["note"]], run["links"], failed.log)
    failed.log.error("workspace: %s", folder)
    for line in last_lines(folder / STATE / name / "log", LINES):
        failed.log.error("%s", line)
