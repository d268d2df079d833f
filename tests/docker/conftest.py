"""The engine, and the image `data` as `make images` makes it.

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

IMAGE = "medslip-data:local"
BASE_IMAGE = ("python", "3.11-slim-bookworm")
BUILD_SECONDS = 900


@pytest.fixture(scope="session")
def client() -> Any:
    """A client of the Docker engine."""
    try:
        return connect()
    except ValueError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def data_image(client: Any, repository: Path) -> str:
    """The image of the data stages, of these files."""
    base = os.environ.get("BUILD_IMAGE", ":".join(BASE_IMAGE))
    for name in {base, ":".join(BASE_IMAGE)}:
        try:
            client.inspect_image(name)
        except ImageNotFound:
            try:
                client.pull(name)
            except APIError as error:
                pytest.skip(f"image data cannot be built: the engine neither has nor gets {name} ({error})")
    made = subprocess.run(
        ["timeout", str(BUILD_SECONDS), "make", "-o", ".venv/.complete", "images", "IMAGES=data:900"],
        cwd=repository, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, f"make images: {made.returncode}\n{made.stdout[-2000:]}\n{made.stderr[-2000:]}"
    return IMAGE
