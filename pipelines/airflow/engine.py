"""A container as Airflow's DockerOperator takes it, and what that operator leaves out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, Mount

from pipelines.containers import Container


def arguments_of(container: Container) -> dict[str, Any]:
    """The arguments of a DockerOperator for a container."""
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
    """Let every container of a client run read-only, without capabilities, and with a process that hands signals on."""
    create = client.create_host_config

    def hardened(**options: Any) -> Any:
        return create(
            **options,
            cap_drop=["ALL"],
            read_only=True,
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": "rw,exec,size=2g"},
            pids_limit=4096,
            init=True,
        )

    client.create_host_config = hardened


def sweep(client: Any, labels: Mapping[str, str], log: Any) -> None:
    """Remove the containers that an earlier try left: it may have been killed before it could."""
    for left in client.containers(all=True, filters={"label": [f"{name}={value}" for name, value in labels.items()]}):
        log.info("removing the container that an earlier try left: %s", left["Id"][:12])
        client.remove_container(left["Id"], force=True)


def exit_status(error: Exception) -> int:
    """The exit status of a container that failed, from what DockerOperator raises; 75 where there is none."""
    found = re.search(r"StatusCode['\"]?: (\d+)", str(error))
    return int(found.group(1)) if found else 75
