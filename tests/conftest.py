"""What every test stands on: no network, no telemetry, a pseudonym key of its own, and never the user's folders.

The tests run in two processes, which share the cores: torch gets one thread in each.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.distribution import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.docker_engine import build, engine
from tests.finished_run import Finished, copy_of_shared_run
from tests.postgres_server import PostgresServer, postgres_server
from tests.s3_server import NoServer, RealS3Server, s3_server
from tests.skipped import pytest_terminal_summary

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary", "pytest_xdist_make_scheduler"]

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, which no module above does

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
}


@pytest.fixture(scope="session", autouse=True)
def _isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("home")
    key = folder / "pseudonym.key"
    key.write_text("0123456789abcdef" * 4 + "\n", encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("MEDSLIP_PSEUDONYM_KEY_FILE", str(key))
        patch.setenv("MEDSLIP_STATE_DIR", str(folder / "state"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout that is tested."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def finished(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole pipeline, run once with the tiny profile: a copy for each process of the tests."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return copy_of_shared_run(repository, shared, own / "checkout")


@pytest.fixture(scope="session")
def s3(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealS3Server]:
    """A real S3 server, which checks signatures."""
    tools = Path(os.environ.get("MEDSLIP_TEST_TOOLS") or repository / ".state/tools")
    try:
        with s3_server(tools, tmp_path_factory.mktemp("s3")) as server:
            yield server
    except NoServer as reason:
        pytest.skip(f"no S3 server: {reason}")


@pytest.fixture(scope="session")
def docker_engine() -> Any:
    """A client of the Docker engine."""
    return engine()


@pytest.fixture(scope="session")
def stage_images(docker_engine: Any, repository: Path) -> list[str]:
    """The images that the stages run in, of these files."""
    build(docker_engine, repository, "data", "train")
    return ["medslip-data:local", "medslip-train:local"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, with log-in by password."""
    try:
        with postgres_server() as server:
            yield server
    except NoServer as reason:
        pytest.skip(f"no PostgreSQL server: {reason}")
