"""What is said when a task has failed for good."""

from typing import Any

from components.core.records.whole import read_json
from pipelines.airflow.commands import CHECKOUT, run_command
from pipelines.airflow.notes import last_lines, write_note
from pipelines.airflow.tasks import run_name, workspace
from pipelines.scheduled import RUN
from pipelines.stage import STATE

LINES = 20


def report_failure(context: Any) -> None:
    """Airflow's failure callback: the last lines of the stage's log and the workspace, in the task's log and note."""
    failed, folder = context["task_instance"].task, workspace(context)
    log = failed.log
    stage, item = getattr(failed, "stage", None), getattr(failed, "item", None)
    name = f"{stage}@{item}" if item else stage or failed.task_id
    if not (folder / RUN).is_file():  # prepare has refused the run: there is nothing to look at
        write_note(context, [f"{name} failed: {context.get('exception')}"], {}, log)
        return
    run_command(["publish", "--ended", "FAILED", "--workspace", str(folder)], CHECKOUT, run_name(context),
                folder / ".state/failed", lambda line: log.info("%s", line))  # fmt: skip
    run = read_json(folder / RUN)
    write_note(context, [f"{name} failed: {context.get('exception')}", *run["note"]], run["links"], log)
    lines = last_lines(folder / STATE / str(name) / "log", LINES)
    log.error("workspace: %s", folder)
    for line in lines:
        log.error("%s", line)
