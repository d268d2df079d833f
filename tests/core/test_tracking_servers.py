"""MLflow's server as the stack has it: runs in PostgreSQL, artifacts on S3; restarted, refused, away."""

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from components.core import tracking
from components.core.params import Params, load
from tests.postgres_server import PostgresServer
from tests.s3_server import RealS3Server, free_port

pytestmark = [pytest.mark.s3, pytest.mark.postgres, pytest.mark.slow]
BUCKET = "medslip-mlflow"
FIGURES = {"auroc": {"macro": 0.9}, "loss": 0.1}


def await_health(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5)
        except OSError:
            time.sleep(0.3)
        else:
            return


@pytest.fixture(scope="module")
def server(s3: RealS3Server, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's server with the options of `docker/compose.yaml`."""
    postgres.sql(["CREATE ROLE mlflow LOGIN PASSWORD 'mlflow'", "CREATE DATABASE mlflow OWNER mlflow"])
    address, folder = f"http://127.0.0.1:{free_port()}", tmp_path_factory.mktemp("mlflow")
    pgpass = folder / "pgpass"
    pgpass.touch(0o600)
    pgpass.write_text("*:*:*:mlflow:mlflow\n")
    environment = {
        **os.environ, **s3.environment(), "PGPASSFILE": str(pgpass), "MLFLOW_S3_ENDPOINT_URL": s3.address,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
    store = f"postgresql+psycopg2://mlflow@127.0.0.1:{postgres.port}/mlflow"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2],
        "--workers", "1", "--backend-store-uri", store, "--artifacts-destination", f"s3://{BUCKET}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, cwd=folder)
    try:
        await_health(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(120)
        postgres.sql(["DROP DATABASE mlflow WITH (FORCE)", "DROP ROLE mlflow"])


@pytest.fixture
def params(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.setenv(tracking.PIPELINE_RUN_VARIABLE, f"run-{time.time_ns()}")
    return load(repository / "params.yaml")


def metrics_of(client: Any, run_id: str | None, name: str) -> list[float]:
    return [metric.value for metric in client.get_metric_history(run_id, name)]


@pytest.mark.hard
def test_a_restart_of_the_database_in_the_middle_of_a_stage_loses_no_figure(
    server: str, postgres: PostgresServer, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    curve = tmp_path / "curve.txt"
    curve.write_text("a curve")
    with tracking.stage_run("pretrain", None, params) as run:
        run.log_metrics({"loss": 3.0}, step=0)
        postgres.stop()
        later = threading.Timer(2.0, postgres.start)
        later.start()
        run.log_metrics({"loss": 2.0}, step=1)  # waits for it
        later.join()
        run.log_artifact(curve)
        run.log_figures(FIGURES)
    client = tracking.connect()
    assert "not logged" not in capsys.readouterr().err
    assert metrics_of(client, run.run_id, "loss") == [3.0, 2.0, 0.1]
    assert metrics_of(client, run.run_id, "auroc.macro") == [0.9]
    assert client.get_run(run.run_id).info.status == "FINISHED"
    (tmp_path / "down").mkdir()
    assert Path(client.download_artifacts(run.run_id, "curve.txt", str(tmp_path / "down"))).read_text() == "a curve"


def test_a_longer_outage_is_said_and_the_launcher_brings_the_figures_in_later(
    server: str, postgres: PostgresServer, params: Params, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with tracking.stage_run("zero_shot", "mimic_cxr", params) as run:
        postgres.stop()
        try:
            run.log_figures(FIGURES)
        finally:
            postgres.start()
    assert f"warning: MLflow at {server}: figures was not logged" in capsys.readouterr().err
    run_id = tracking.log_stage("zero_shot", "mimic_cxr", params, FIGURES)
    assert tracking.log_stage("zero_shot", "mimic_cxr", params, FIGURES) == run_id != run.run_id
    client = tracking.connect()
    assert metrics_of(client, run_id, "auroc.macro") == [0.9]
    assert client.get_run(run_id).info.status == "FINISHED"


def test_artifacts_that_the_store_refuses_are_named_and_the_stage_goes_on(
    s3: RealS3Server,
    params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for name, value in s3.environment(secret="wrong").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers the keys that it saw first
    tracking.connect().create_experiment(tracking.EXPERIMENT, artifact_location=f"s3://{BUCKET}/direct")
    picture = tmp_path / "picture.txt"
    picture.write_text("a picture")
    with tracking.stage_run("pretrain", None, params) as run:
        run.log_artifact(picture)
        run.log_figures(FIGURES)
    said = capsys.readouterr().err
    assert "picture.txt was not logged" in said
    assert "SignatureDoesNotMatch" in said
    assert "Traceback" not in said
    assert metrics_of(tracking.connect(), run.run_id, "auroc.macro") == [0.9]
