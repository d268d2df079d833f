"""The launcher's commands as children of an Airflow task: their log is its log, and they end with it."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from components.core.tracking import PIPELINE_RUN_VARIABLE
from pipelines.processes import Record, run_group

CHECKOUT = Path(__file__).parents[2]
PYTHON_VARIABLE = "MEDSLIP_PYTHON"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def python() -> str:
    """The Python of the components' environment: the one that MEDSLIP_PYTHON names, else that of `make setup`."""
    return os.environ.get(PYTHON_VARIABLE) or str(CHECKOUT / ".venv/bin/python")


def environment_of(run: str | None) -> dict[str, str]:
    """The environment of a command: this one without what is Airflow's own, and the run that it belongs to."""
    kept = {name: value for name, value in os.environ.items() if not re.match(r"_?AIRFLOW|PYTHON|VIRTUAL_ENV", name)}
    return {**kept, "PYTHONUNBUFFERED": "1", **({PIPELINE_RUN_VARIABLE: run} if run else {})}


class Lines:
    """Turns what a command writes into whole lines; of a line that was overwritten, as progress bars do, the last form.

    Args:
        show: gets each line.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self.show = show
        self.rest = b""

    def __call__(self, chunk: bytes) -> None:
        """Take what came; a line's beginning waits for its end."""
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in lines:
            self._show(line)

    def end(self) -> None:
        """Show what stands without an end."""
        if self.rest:
            self._show(self.rest)
        self.rest = b""

    def _show(self, line: bytes) -> None:
        text = ESCAPES.sub("", line.decode("utf-8", "replace")).rstrip("\r").rsplit("\r", 1)[-1].rstrip()
        if text:
            self.show(text)


def run_command(
    arguments: list[str], folder: Path, run: str | None, record: Path, show: Callable[[str], object]
) -> int:
    """Run `python -m pipelines` with arguments, in a folder, as a group that ends with this task.

    Args:
        arguments: what follows.
        folder: where it runs; its code is that folder's.
        run: the pipeline run that it belongs to, or None.
        record: a file that notes the group while it runs, so that a retry ends what a lost try left.
        show: gets each line that it writes.

    Returns:
        Its exit status; negative for the signal that ended it.
    """
    record.parent.mkdir(parents=True, exist_ok=True)
    noted = Record(record)
    noted.end_orphans()
    lines = Lines(show)
    command: list[str] = [python(), "-m", "pipelines", *arguments]
    environment: Mapping[str, str] = environment_of(run)
    try:
        return run_group(command, environment, noted, lines, folder)
    finally:
        lines.end()


def leave_command(arguments: list[str], run: str) -> None:
    """Start `python -m pipelines` with arguments and do not wait: for a task that has no time left."""
    subprocess.Popen(
        [python(), "-m", "pipelines", *arguments],
        cwd=CHECKOUT,
        env=environment_of(run),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
