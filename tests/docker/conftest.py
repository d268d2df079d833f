"""The engine, and the image `data` as `make images` makes it; without an engine the tests are skipped."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import connect

IMAGE = "medslip-data:local"


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
    made = subprocess.run(["make", "images", "IMAGES=data:900"], cwd=repository, capture_output=True, text=True)
    assert made.returncode == 0, f"{made.stdout[-2000:]}\n{made.stderr[-2000:]}"
    return IMAGE
