"""What every test stands on: no network, no telemetry, a pseudonym key of its own, and never the user's folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.finished_run import Finished, run_tiny

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
    """The whole pipeline, run once with the tiny profile."""
    return run_tiny(repository, tmp_path_factory.mktemp("checkout"))
