"""MLflow and Airflow, started by `python -m pipelines.services` on a checkout whose stages are in the cache."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from components.core.params import read_yaml
from pipelines.airflow.client import Client, run_path
from pipelines.airflow.demo import title
from pipelines.scheduled import workspace_of
from pipelines.services import Services
from tests.finished_run import Finished
from tests.s3_server import free_port

DAG = "medslip"
PATIENCE = 900.0


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What a condition gives when it holds at last."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain for {what}"
        time.sleep(0.5)
    return value


class Stack:
    """The services of a checkout, and what a user does with them."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self.settings = {
            "MEDSLIP_AIRFLOW_PORT": str(free_port()),
            "MEDSLIP_MLFLOW_PORT": str(free_port()),
            "MEDSLIP_AIRFLOW_ENVIRONMENT": str(repository / ".venv-airflow"),
            "MEDSLIP_ARRIVALS_SCHEDULE": "0 0 1 1 *",  # no hour that strikes may look before the test does
        }
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
            **self.settings,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def module(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module in the checkout."""
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    @property
    def services(self) -> Services:
        """The services as this process sees them."""
        former = {name: os.environ.get(name) for name in self.settings}
        os.environ.update(self.settings)
        try:
            return Services(self.folder)
        finally:
            for name, value in former.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def start(self) -> str:
        """`make services`, once the environments are there."""
        done = self.module("pipelines.services", "start")
        assert done.returncode == 0, done.stdout
        return done.stdout

    @cached_property
    def client(self) -> Client:
        """Logged in to Airflow, once."""
        return self.services.client()

    def trigger(self, **parameters: Any) -> str:
        """Start a run; in a parameter's name, `__` stands for the dot."""
        return self.client.trigger(DAG, {name.replace("__", "."): value for name, value in parameters.items()})

    def state(self, run: str) -> str:
        """The state of a run."""
        return str(self.client.run(DAG, run)["state"])

    def states(self, run: str) -> dict[str, str]:
        """The state of each task of a run."""
        return {title(task): str(task["state"]) for task in self.client.tasks(DAG, run)}

    def ended(self, run: str) -> str:
        """How a run ended, at last."""
        until(lambda: self.state(run) in ("success", "failed"), f"the end of {run}")
        return self.state(run)

    def task(self, run: str, name: str) -> Any:
        """A task of a run."""
        return next(task for task in self.client.tasks(DAG, run) if title(task) == name)

    def log(self, run: str, name: str) -> str:
        """What a task logged in its last try."""
        return self.client.log(DAG, run, self.task(run, name))

    def workspace(self, run: str) -> Path:
        """The workspace of a run."""
        return workspace_of(f"{DAG}.{run}", self.folder)

    def processes_in(self, folder: Path) -> list[int]:
        """The processes whose working directory is a workspace."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if path.readlink() == folder:
                    found.append(int(path.parent.name))
            except OSError:  # ended meanwhile
                continue
        return found

    def stage_runs(self, run: str, address: str) -> bool:
        """Whether the processes of a stage run in a run's workspace."""
        return (self.workspace(run) / ".state/stages" / address / "group").is_file()

    def fail(self, run: str) -> None:
        """What a user does to cancel a run: mark it as failed."""
        self.client.patch(run_path(DAG, run), {"state": "failed"})

    def kill(self, service: str) -> None:
        """kill -9 of a service's first process."""
        group = self.services._session(service).group()
        assert group is not None
        os.kill(group[0], signal.SIGKILL)

    def set_params(self, profile: str) -> None:
        """Lay changes over params.yaml of the checkout, as a user's editor does."""
        params = self.folder / "params.yaml"
        content = read_yaml(params)
        content["phantom"]["studies"].update(yaml.safe_load(profile))
        params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


@contextmanager
def running_stack(finished: Finished, repository: Path, folder: Path) -> Iterator[Stack]:
    """The services on a copy of a finished checkout; nothing of them is left afterwards."""
    shutil.copytree(finished.folder, folder, symlinks=True)
    stack = Stack(folder, repository)
    try:
        stack.start()
        yield stack
    finally:
        done = stack.module("pipelines.services", "stop")
        left = stack.services.processes()
        assert (done.returncode, left) == (0, []), done.stdout
