"""A checkout of its own in which the whole pipeline has run with the tiny profile."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.core.params import read_yaml
from components.core.records.whole import read_json, write_json
from pipelines.stage import locked
from pipelines.workspace import run_params

PATIENCE_SECONDS = 1800.0
GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]


@dataclass(frozen=True)
class Finished:
    """A checkout of its own in which the pipeline has run, and what it printed."""

    folder: Path
    output: str
    status: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module in the checkout, with MLflow at its default address."""
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env={**environment, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def copy_repository(repository: Path, folder: Path) -> None:
    """Copy what git knows of the repository, and what it would not ignore, into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=repository, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (repository / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((repository / name).read_bytes())


def copy_of_shared_run(repository: Path, shared: Path, folder: Path) -> Finished:
    """A copy of the run that the first process of the tests makes in a folder that all of them share."""
    noted = shared / "finished.json"
    with locked(shared / "finished.lock", PATIENCE_SECONDS) as ours:
        assert ours, "another process of the tests has not finished its run"
        if not noted.is_file():
            done = run_tiny(repository, shared / "finished")
            write_json(noted, {"output": done.output, "status": done.status})
    shutil.copytree(shared / "finished", folder, symlinks=True)
    return Finished(folder, **read_json(noted))


def run_tiny(repository: Path, folder: Path) -> Finished:
    """Run the pipeline with the tiny profile in a copy of the repository."""
    copy_repository(repository, folder)
    content = run_params(read_yaml(repository / "params.yaml"), "tiny", [])
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True)
    done = Finished(folder, "", 0).run("pipelines", "run")
    return Finished(folder, done.stdout, done.returncode)
