"""The Docker engine: a container as its SDK and Airflow's DockerOperator take it, run, and removed."""

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound
from docker.types import DeviceRequest, Mount
from docker.utils import kwargs_from_env

from components.core.command import TRY_AGAIN, TryAgain
from components.core.tracking import main_checkout
from pipelines.containers import IMAGES_VARIABLE, Container, container_of, hand_over, stage_command
from pipelines.graph import Stage
from pipelines.processes import INTERRUPT_SECONDS
from pipelines.stage import STATE, Outcome, locked, outcome_file

HARDENED: Mapping[str, Any] = {
    "cap_drop": ["ALL"],
    "read_only": True,
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": "rw,exec,size=2g"},
    "pids_limit": 4096,
    "init": True,  # hands signals on and collects what has ended
}
HOST_ARGUMENTS = ("mounts", "network_mode", "mem_limit", "shm_size", "device_requests")
LOST = (requests.RequestException, DockerException, OSError)


def arguments_of(container: Container) -> dict[str, Any]:
    """The arguments of a DockerOperator for a container; those of the SDK have the same names."""
    return {
        "image": container.image,
        "command": list(container.command),
        "environment": dict(container.environment),
        "mounts": [
            Mount(str(mounted.path), str(mounted.path), "bind", read_only=mounted.read_only)
            for mounted in container.mounts
        ],
        "working_dir": str(container.folder),
        "user": container.user,
        "network_mode": container.network,
        "mem_limit": container.memory,
        "shm_size": container.shm,
        "device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])] if container.gpu and has_gpu() else None,
        "labels": dict(container.labels),
    }


def has_gpu() -> bool:
    """Whether this machine has a GPU that a container engine could hand on."""
    return Path("/dev/nvidiactl").exists()


def harden(client: Any) -> None:
    """Let every container of an operator's client run read-only, without capabilities, under an init process."""
    create = client.create_host_config
    client.create_host_config = lambda **options: create(**options, **HARDENED)


def connect() -> Any:
    """A client of the engine that DOCKER_HOST names, or of this machine's.

    Raises:
        ValueError: none answers.
    """
    settings = kwargs_from_env()
    try:
        client = docker.APIClient(**settings)
        client.ping()
    except LOST as error:
        place = settings.get("base_url", "unix:///var/run/docker.sock")
        raise ValueError(f"no Docker engine answers at {place}: start one, or set DOCKER_HOST ({error})") from None
    return client


def require_images(client: Any, images: Iterable[str]) -> None:
    """Make sure that images are there; none is ever fetched behind the user's back.

    Raises:
        ValueError: one is not.
    """
    for image in sorted(set(images)):
        try:
            client.inspect_image(image)
        except (ImageNotFound, APIError) as error:
            if isinstance(error, APIError) and error.is_server_error():
                raise
            raise ValueError(
                f"the engine has no image {image!r}: `make images` makes them, {IMAGES_VARIABLE} names others, "
                f"which `docker pull` fetches"
            ) from None


def remove(client: Any, labels: Mapping[str, str]) -> None:
    """Interrupt, so that DVC leaves no lock, and remove the containers of these labels."""
    for left in client.containers(all=True, filters={"label": [f"{name}={value}" for name, value in labels.items()]}):
        with suppress(*LOST):  # it has ended
            client.kill(left["Id"], "SIGINT")
            client.wait(left["Id"], timeout=INTERRUPT_SECONDS)
        with suppress(APIError):  # it is being removed
            client.remove_container(left["Id"], force=True)


def exit_status(error: Exception) -> int:
    """The exit status of a container that failed, from what DockerOperator raises; 75 where there is none."""
    found = re.search(r"StatusCode['\"]?: (\d+)", str(error))
    return int(found.group(1)) if found else TRY_AGAIN


def run_container(client: Any, container: Container, show: Callable[[str], object]) -> int:
    """Run a container to its end, hand on what it writes, remove it, and return its exit status.

    Raises:
        KeyboardInterrupt: this process was told to stop; the container has been removed by then.
        TryAgain: the engine was lost.
    """
    arguments = arguments_of(container)
    host = {name: arguments.pop(name) for name in HOST_ARGUMENTS}
    try:
        remove(client, container.labels)  # what a launcher that was killed has left
        try:
            made = client.create_container(**arguments, host_config=client.create_host_config(**host, **HARDENED))["Id"]
            client.start(made)
            for chunk in client.logs(made, stream=True, follow=True):
                show(chunk.decode("utf-8", "replace"))
            return int(client.wait(made)["StatusCode"])
        finally:
            remove(client, container.labels)
    except LOST as error:
        raise TryAgain(f"the Docker engine failed: {' '.join(str(error).split())}") from None


@contextmanager
def _alone(address: str) -> Iterator[None]:
    """The time in which no other launcher runs a stage of the current workspace in a container."""
    with locked(STATE / address / "container", 0.0) as ours:
        if not ours:
            raise TryAgain(f"{address} is being run by another process")
        yield


def run_contained(stage: Stage, force: bool, show: Callable[[str], object] = sys.stdout.write) -> Outcome:
    """Run one stage of the current workspace in its container, or restore it there (see `stage.run_stage`).

    Raises:
        ValueError: there is no engine, image or key, or what the container needs belongs to another.
        KeyboardInterrupt: we were told to stop; the container has been removed by then.
    """
    folder, begun = Path.cwd(), time.monotonic()
    labels = {"medslip.workspace": str(folder), "medslip.stage": stage.address}
    container = container_of(stage, stage_command(stage.address, force), folder, main_checkout(), labels)
    client = connect()
    require_images(client, [container.image])
    try:
        with _alone(stage.address):
            outcome_file(stage.address).unlink(missing_ok=True)
            hand_over(stage, container)
            status = run_container(client, container, show)
    except TryAgain as error:
        show(f"try again: {error}\n")
        status = TRY_AGAIN
    if status == 0:
        return Outcome.read(stage.address)
    failed = Outcome(stage.address, status, "failed", time.monotonic() - begun, STATE / stage.address / "log")
    failed.save()
    return failed
