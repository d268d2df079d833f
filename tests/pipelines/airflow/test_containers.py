"""Runs whose stages are containers: sealed, heard in the task's log, their status kept, and gone with the task."""

import re
from typing import Any

import pytest

from tests.pipelines.airflow.stack import DAG, Stack, until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("stage_images")]


def containers(engine: Any, run: str) -> list[Any]:
    return list(engine.containers(all=True, filters={"label": f"medslip.run={DAG}.{run}"}))


def first_container(engine: Any, run: str) -> Any:
    (found,) = until(lambda: containers(engine, run), "the first stage's container")
    return engine.inspect_container(found["Id"])


def test_a_run_in_containers_is_sealed_and_ends_with_the_status_of_its_gate(stack: Stack, docker_engine: Any) -> None:
    run = stack.trigger(runner="docker", force=["phantom"], quality__min_images=1_000_000)
    told = first_container(docker_engine, run)
    host, folder = told["HostConfig"], stack.workspace(run)
    assert told["Config"]["Labels"]["medslip.stage"] == "phantom"
    assert told["Config"]["User"] not in ("", "root", "0", "0:0")
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["NetworkMode"]) == (["ALL"], True, "none")
    assert (host["Memory"], host["SecurityOpt"]) == (4 * 2**30, ["no-new-privileges"])
    writable = {mount["Source"] for mount in told["Mounts"] if mount["RW"]}
    assert str(folder) in writable
    assert not {str(stack.folder), str(stack.folder / ".git")} & writable
    assert not any("docker.sock" in mount["Source"] for mount in told["Mounts"])
    assert not re.search("PASSWORD|SECRET|TOKEN", " ".join(told["Config"]["Env"]))
    assert stack.ended(run) == "failed"
    assert stack.task(run, "quality@mimic_cxr")["try_number"] == 1
    last = stack.log(run, "quality@mimic_cxr").splitlines()[-30:]
    assert any(re.search("AirflowFailException: .*a gate said no.*: gate failed: 1 expectation", line) for line in last)
    assert "phantom: ran" in stack.log(run, "phantom")
    assert "Running stage 'phantom'" in stack.log(run, "phantom")
    assert "reports: restored from the cache" in stack.log(run, "reports")  # which a process has filled
    assert containers(docker_engine, run) == []


@pytest.mark.hard
def test_a_run_that_is_cancelled_takes_its_container_along(stack: Stack, docker_engine: Any) -> None:
    run = stack.trigger(runner="docker", force=["phantom"])
    first_container(docker_engine, run)
    stack.fail(run)
    until(lambda: not containers(docker_engine, run), "the end of the container", 180)
    assert stack.state(run) == "failed"
