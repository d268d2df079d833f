"""Stages in containers: sealed, with the results of processes, which each restores, and ended with the launcher."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from components.core import tracking
from components.core.params import read_yaml
from pipelines.workspace import run_params
from tests.finished_run import GIT, Finished, copy_repository

pytestmark = [pytest.mark.docker, pytest.mark.slow]

MADE = ["data/phantom/truth", "data/images/mimic_cxr", "data/findings", "models", "predictions", "metrics"]
LABELS = Path("data/findings/labels.npz")


@pytest.fixture(scope="module")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory, stage_images: list[str]) -> Path:
    """A checkout with the tiny profile, in a folder with a blank in its name."""
    folder = tmp_path_factory.mktemp("a blank") / "check out"
    copy_repository(repository, folder)
    content = run_params(read_yaml(repository / "params.yaml"), "tiny", [])
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True)
    return folder


def contained(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return Finished(folder, "", 0).run("pipelines", "run", "--runner", "docker", *arguments)


@pytest.fixture(scope="module")
def made(checkout: Path) -> Path:
    """The checkout in which containers have run every stage, with MLflow at its default address."""
    done = contained(checkout)
    assert done.returncode == 0, done.stdout
    return checkout


@pytest.fixture
def running(checkout: Path, docker_engine: Any) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """A launcher whose container runs phantom, and what the engine says of that container."""
    command = [sys.executable, "-m", "pipelines", "run", "--runner", "docker", "--force", "phantom", "phantom"]
    launcher = subprocess.Popen(command, cwd=checkout)
    label = {"label": f"medslip.workspace={checkout}"}
    try:
        deadline = time.monotonic() + 180
        while not (found := docker_engine.containers(filters=label)):
            assert launcher.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield launcher, docker_engine.inspect_container(found[0]["Id"])
    finally:
        launcher.terminate()
        launcher.wait(120)
    assert docker_engine.containers(all=True, filters=label) == []


def test_a_running_stage_is_sealed_and_ends_with_its_launcher(running: Any) -> None:
    launcher, told = running
    host = told["HostConfig"]
    assert told["Config"]["User"] not in ("", "root", "0", "0:0")
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["NetworkMode"]) == (["ALL"], True, "none")
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == 4 * 2**30
    assert not any("docker.sock" in mount["Source"] for mount in told["Mounts"])
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(120) == 130


def files_of(root: Path, folder: str) -> dict[str, bytes]:
    paths = (path for path in (root / folder).rglob("*") if path.is_file() and path.name != LABELS.name)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_containers_make_what_processes_make(made: Path, finished: Finished) -> None:
    """Byte for byte, but for the labels: in the heads of the file's members Python's zipfile names its own version."""
    for folder in MADE:
        assert files_of(made, folder) == files_of(finished.folder, folder)
        assert files_of(made, folder)
    with np.load(made / LABELS) as ours, np.load(finished.folder / LABELS) as theirs:
        assert ours.files == theirs.files
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours.files)


def test_each_runner_restores_what_the_other_made(made: Path) -> None:
    def becomes(how: str, *arguments: str) -> None:
        done = Finished(made, "", 0).run("pipelines", "run", "reports", *arguments)
        assert re.search(rf"^reports +{how}", done.stdout, re.MULTILINE), done.stdout

    becomes("unchanged")
    shutil.rmtree(made / "data/phantom")
    restored = contained(made, "phantom", "inventory")  # which comes back as links, and is listed all the same
    assert re.search(r"^phantom +restored", restored.stdout, re.MULTILINE), restored.stdout
    assert restored.returncode == 0, restored.stdout
    for maker, other in (("docker", "process"), ("process", "docker")):
        becomes("ran", "--force", "reports", "--runner", maker)
        shutil.rmtree(made / "data/findings")
        becomes("restored", "--runner", other)


def test_what_containers_made_is_in_the_registry(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracking.kept_in(made) / 'mlflow.db'}")
    client = tracking.connect()
    (version,) = client.search_model_versions("name = 'medslip'")
    assert version.tags["medslip.digest"]
    (pretrain,) = client.search_runs([tracking.experiment_id(client)], "attributes.run_name = 'pretrain'")
    assert {"loss", "images_per_second"} <= set(pretrain.data.metrics)  # which its container itself has logged


def test_a_stages_own_status_is_kept(made: Path) -> None:
    params = made / "params.yaml"
    former = params.read_text(encoding="utf-8")
    content = yaml.safe_load(former)
    content["quality"]["min_images"] = 1_000_000
    params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    try:
        closed = contained(made, "quality@mimic_cxr")
        assert (closed.returncode, "gate failed" in closed.stdout) == (3, True), closed.stdout
    finally:
        params.write_text(former, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MEDSLIP_IMAGES", "nowhere-{image}:1", "the engine has no image 'nowhere-data:1': `make images` makes them"),
        ("DOCKER_HOST", "unix:///nowhere.sock", "no Docker engine answers at "),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    refused = contained(checkout, "reports")
    assert (refused.returncode, sentence in refused.stdout) == (2, True), refused.stdout
    assert "Traceback" not in refused.stdout
