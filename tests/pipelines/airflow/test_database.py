"""The stack's Airflow on its PostgreSQL, which is restarted in the middle of a run."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.airflow.client import Client, run_path
from pipelines.stack import Stack
from tests.finished_run import Finished
from tests.pipelines.airflow.composed import Composed, composed
from tests.pipelines.airflow.stack import until
from tests.postgres_server import PostgresServer
from tests.s3_server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
DAG = "medslip_arrivals"


@pytest.fixture
def airflow(
    finished: Finished, postgres: PostgresServer, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Composed]:
    ports = {"POSTGRES": postgres.port, "AIRFLOW": free_port(), "MLFLOW": free_port(), "S3": free_port()}
    for name, port in ports.items():
        monkeypatch.setenv(f"MEDSLIP_{name}_PORT", str(port))
    key = tmp_path / "medslip/pseudonym.key"  # the stack's secrets lie beside it
    key.parent.mkdir()
    key.write_bytes(Path(os.environ["MEDSLIP_PSEUDONYM_KEY_FILE"]).read_bytes())
    monkeypatch.setenv("MEDSLIP_PSEUDONYM_KEY_FILE", str(key))
    stack = Stack(finished.folder)
    with composed(stack, postgres, tmp_path, repository / ".venv-airflow") as services:
        yield services


def state(client: Client, run: str) -> str:
    return str(client.get(run_path(DAG, run))["state"])


@pytest.mark.hard
def test_a_restart_of_the_database_in_the_middle_of_a_run_loses_nothing(
    airflow: Composed, postgres: PostgresServer
) -> None:
    client = airflow.client()
    until(lambda: {"medslip", DAG} <= {dag["dag_id"] for dag in client.get("/dags")["dags"]}, "the DAGs", 180)
    client.patch("/dags/medslip", {"is_paused": True})
    client.patch(f"/dags/{DAG}", {"is_paused": False})
    run = client.trigger(DAG, {"grown_by": 0})
    until(lambda: [task["state"] for task in client.tasks(DAG, run)] == ["running"], "the look at the archives", 180)
    postgres.stop()
    time.sleep(3.0)
    postgres.start()
    until(airflow.healthy, "Airflow's health after the restart", 300)
    until(lambda: state(client, run) == "success", "the end of the run", 600)
    (event,) = client.get("/assets/events")["asset_events"]
    assert sum(event["extra"]["images"].values()) > 0
    after = client.trigger(DAG, {"grown_by": 0})
    until(lambda: state(client, after) == "success", "the end of the next run", 300)
    assert [task["state"] for task in client.tasks(DAG, after)] == ["skipped"]  # nothing has come since
