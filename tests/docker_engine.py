"""The engine, and the images of the stages as `make images` makes them.

Without an engine, or without the base image and a registry that has it, the tests are skipped. An image that does not
build, or not in time, is a failure.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from pipelines.engine import connect

BASE_IMAGE = ("python", "3.11-slim-bookworm")
BUILD_SECONDS = 900


def engine() -> Any:
    """A client of the Docker engine; without one the test is skipped."""
    try:
        return connect()
    except ValueError as error:
        pytest.skip(str(error))


def build(client: Any, repository: Path, *images: str) -> None:
    """Build images of these files by `make images`."""
    base = os.environ.get("BUILD_IMAGE", ":".join(BASE_IMAGE))
    for name in {base, ":".join(BASE_IMAGE)}:
        try:
            client.inspect_image(name)
        except ImageNotFound:
            try:
                client.pull(name)
            except APIError as error:
                pytest.skip(f"no image can be built: the engine neither has nor gets {name} ({error})")
    made = subprocess.run(
        ["timeout", str(BUILD_SECONDS), "make", "-o", ".venv/.complete", "images", f"ONLY={' '.join(images)}"],
        cwd=repository, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, f"make images: {made.returncode}\n{made.stdout[-2000:]}\n{made.stderr[-2000:]}"
