"""The services without Airflow: settings that are refused, and processes that are found whatever is left of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core import tracking
from pipelines.processes import started
from pipelines.services import MARK, Service, Services


def command(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.services", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **settings},
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    done = command(tmp_path, "start", MEDSLIP_AIRFLOW_PORT=port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == f"error: MEDSLIP_AIRFLOW_PORT is '{port}': a port between 1 and 65535 is allowed"


def test_without_its_environment_airflow_is_not_started(tmp_path: Path) -> None:
    done = command(tmp_path, "start", MEDSLIP_AIRFLOW_ENVIRONMENT=str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stderr.strip().endswith("none/bin/airflow does not exist: run make setup-airflow first")
    assert "Traceback" not in done.stderr


def test_stopping_what_does_not_run_is_fine(tmp_path: Path) -> None:
    done = command(tmp_path, "stop")
    assert (done.returncode, done.stdout) == (0, "the services are stopped\n")


def wait_for(path: Path) -> int:
    deadline = time.monotonic() + 120
    while not (path.is_file() and path.read_text(encoding="ascii").strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text(encoding="ascii"))


def test_stop_ends_what_a_killed_service_has_left_and_nobody_elses(tmp_path: Path) -> None:
    services = Services(tmp_path)
    services.folder.mkdir(parents=True)
    service = subprocess.Popen(
        ["/bin/sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; wait"], start_new_session=True
    )
    services._session("airflow-scheduler").write(service.pid)
    child = wait_for(tmp_path / "child")
    stage = subprocess.Popen(  # as a task starts it: in a session of its own, with the mark
        ["sleep", "60"], start_new_session=True, env={**os.environ, MARK: str(services.folder)}
    )
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert services.running("airflow-scheduler")
        service.send_signal(signal.SIGKILL)
        service.wait()
        assert not services.running("airflow-scheduler")
        assert sorted(services.processes()) == sorted([child, stage.pid])
        services.stop()
        stage.wait(10)
        assert started(child) is None
        assert services.processes() == []
        assert stranger.poll() is None
        assert not list(services.folder.glob("*.session"))
    finally:
        for process in (service, stage, stranger):
            process.kill()
            process.wait()


def test_a_service_started_again_after_a_crash_does_not_hide_what_the_crash_left(tmp_path: Path) -> None:
    services = Services(tmp_path)
    services.logs.mkdir(parents=True)
    command = ("/bin/sh", "-c", f"sleep 60 & echo $! > {tmp_path}/child; exec sleep 60")
    service = Service("airflow-scheduler", command, lambda: True)
    services._launch(service)
    child = wait_for(tmp_path / "child")
    first = services._session(service.name).group()
    assert first is not None
    os.kill(first[0], signal.SIGKILL)
    os.waitpid(first[0], 0)
    os.environ.pop(MARK, None)
    services._launch(service)
    assert child in services.processes()
    services.stop()
    assert started(child) is None


def test_other_ports_than_those_of_running_services_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "airflow/bin").mkdir(parents=True)
    (tmp_path / "airflow/bin/airflow").touch()
    monkeypatch.setenv("MEDSLIP_AIRFLOW_ENVIRONMENT", str(tmp_path / "airflow"))
    monkeypatch.setenv("MEDSLIP_AIRFLOW_PORT", "18181")
    services = Services(tmp_path)
    services.folder.mkdir(parents=True)
    services._settle_ports()
    monkeypatch.delenv("MEDSLIP_AIRFLOW_PORT")
    assert Services(tmp_path).airflow == "http://127.0.0.1:18181"  # the running ones are found again
    services._session("mlflow").write(os.getpid())
    with socket.socket() as theirs:  # as that running service holds its port
        theirs.bind(("127.0.0.1", 0))
        theirs.listen()
        monkeypatch.setenv("MEDSLIP_MLFLOW_PORT", str(theirs.getsockname()[1]))
        (services.folder / "ports.json").unlink()
        Services(tmp_path)._settle_ports()  # its own port is no other program's
    monkeypatch.setenv("MEDSLIP_AIRFLOW_PORT", "18282")
    with pytest.raises(ValueError, match=r"the services run on the ports 8080 and [0-9]+: stop them first"):
        Services(tmp_path)._settle_ports()
    services._session("mlflow").path.unlink()


def test_the_password_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    services = Services(tmp_path)
    services.folder.mkdir(parents=True)
    password = services.password()
    assert len(password) >= 12
    assert services.password() == password
    assert services.passwords.stat().st_mode & 0o777 == 0o600
    assert Services(tmp_path / "other").folder != services.folder


def test_runs_without_a_server_reach_the_artifacts_of_runs_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "restored afterwards")
    Services(tmp_path)._make_experiment()  # as before a server is started on an empty database
    client = tracking.connect()
    experiment = client.get_experiment(tracking.experiment_id(client))
    assert experiment.artifact_location == (tmp_path / ".state/mlflow/mlartifacts").as_uri()
