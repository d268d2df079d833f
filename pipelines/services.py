"""MLflow and Airflow on this machine: started together, watched until they answer, ended without a rest.

Everything they keep lies below `.state/services/` of the main checkout. Each service leads a session of its own, and
what it starts elsewhere, the stages, carries a mark in its environment: by both, `stop` finds what a crash has left.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from components.core import tracking
from components.core.command import guarded
from components.core.pseudonyms import make_key
from components.core.records.whole import read_json, write_json
from components.core.tracking import main_checkout
from pipelines.airflow import DAG_ID, GPU_POOL
from pipelines.airflow.client import Client, Refused
from pipelines.processes import Record, all_processes, started
from pipelines.stage import locked

USER = "admin"
MARK = "MEDSLIP_SERVICES"
HEALTHY_SECONDS = 180.0
END_SECONDS = 8.0


@dataclass(frozen=True)
class Service:
    """One process that serves.

    Attributes:
        name: what its log is named after.
        command: the program and its arguments.
        healthy: tells whether it answers.
    """

    name: str
    command: tuple[str, ...]
    healthy: Callable[[], bool]


class Services:
    """The services of a checkout.

    Args:
        main: the main checkout.

    Raises:
        ValueError: a port is no number.
    """

    def __init__(self, main: Path) -> None:
        self.main = main.resolve()
        self.folder = self.main / ".state/services"
        self.logs = self.folder / "logs"
        self.airflow_home = self.folder / "airflow"
        self.passwords = self.folder / "passwords.json"
        self.ports_file = self.folder / "ports.json"
        former = read_json(self.ports_file) if self.ports_file.is_file() else {}
        self.airflow = f"http://127.0.0.1:{port_of('MEDSLIP_AIRFLOW_PORT', former.get('airflow', 8080))}"
        self.mlflow = f"http://127.0.0.1:{port_of('MEDSLIP_MLFLOW_PORT', former.get('mlflow', 5000))}"

    def password(self) -> str:
        """The password, made at the first start."""
        if not self.passwords.is_file():
            descriptor = os.open(self.passwords, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump({USER: secrets.token_urlsafe(12)}, file)
        return str(json.loads(self.passwords.read_text(encoding="ascii"))[USER])

    def environment(self) -> dict[str, str]:
        """What the services see: loopback only, no telemetry, no examples, one worker of each kind."""
        airflow = {
            "CORE__DAGS_FOLDER": str(self.main / "dags"),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow}/execution/",
            "CORE__LOAD_EXAMPLES": "false",
            # SQLite's own patience of five seconds is too short for a busy machine.
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.airflow_home}/airflow.db?timeout=60",
            "CORE__PARALLELISM": str(max(2, os.cpu_count() or 2)),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.passwords),
            "API__BASE_URL": self.airflow,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(_number(self.airflow)),
            "API__WORKERS": "1",
            "DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "LOGGING__BASE_LOG_FOLDER": str(self.logs / "tasks"),
            "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(self.logs / "dag-processor"),
            "SCHEDULER__ENABLE_HEALTH_CHECK": "false",
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "USAGE_DATA_COLLECTION__ENABLED": "false",
        }
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
            **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
            "AIRFLOW_HOME": str(self.airflow_home),
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MEDSLIP_PYTHON": sys.executable,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
            MARK: str(self.folder),
        }

    def _airflow_program(self) -> str:
        """The airflow program of its own environment.

        Raises:
            ValueError: it has not been set up.
        """
        program = Path(os.environ.get("MEDSLIP_AIRFLOW_ENVIRONMENT") or self.main / ".venv-airflow") / "bin/airflow"
        if not program.is_file():
            raise ValueError(f"{program} does not exist: run make setup-airflow first")
        return str(program)

    def all(self) -> list[Service]:
        """The services, in the order in which they start."""
        airflow = self._airflow_program()
        store = ("--backend-store-uri", self._database, "--artifacts-destination",
                 str(tracking.kept_in(self.main) / "mlartifacts"))  # fmt: skip
        port = str(_number(self.mlflow))
        mlflow = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1")
        return [
            Service("mlflow", (*mlflow, *store), lambda: _answers(f"{self.mlflow}/health")),
            Service("airflow-api-server", (airflow, "api-server"), lambda: self._reports("metadatabase")),
            Service(
                "airflow-scheduler", (airflow, "scheduler", "--skip-serve-logs"), lambda: self._reports("scheduler")
            ),
            Service("airflow-dag-processor", (airflow, "dag-processor"), lambda: self._reports("dag_processor")),
        ]

    @property
    def _database(self) -> str:
        """The database that runs without a server use, too."""
        return f"sqlite:///{tracking.kept_in(self.main) / 'mlflow.db'}"

    def _reports(self, part: str) -> bool:
        """Whether Airflow's own health report calls a part healthy."""
        report = _json(f"{self.airflow}/api/v2/monitor/health")
        return report.get(part, {}).get("status") == "healthy"

    def _session(self, name: str) -> Record:
        return Record(self.folder / f"{name}.session")

    def running(self, name: str) -> bool:
        """Whether a service that we started runs."""
        group = self._session(name).group()
        return group is not None and started(group[0]) == group[1]

    def processes(self) -> list[int]:
        """Every process of the services and of what they have started, whoever of them is left."""
        mark = f"{MARK}={self.folder}".encode()
        sessions = {group[0] for path in self.folder.glob("*.session") if (group := Record(path).group()) is not None
                    and started(group[0]) in (group[1], None)}  # fmt: skip
        return [
            process.pid
            for process in all_processes()
            if process.pid != os.getpid() and (process.session in sessions or mark in process.environment)
        ]

    def start(self) -> None:
        """Start what does not run, wait until all is healthy, and say where it is.

        Raises:
            ValueError: a port is taken, or a service does not become healthy; with the end of its log.
        """
        os.umask(0o077)
        self.logs.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock", HEALTHY_SECONDS) as ours:
            if not ours:
                raise ValueError("the services are being started or stopped by another command")
            self._settle_ports()
            self.password()
            make_key()
            self._migrate()
            if not self.running("mlflow"):
                self._make_experiment()
            begun = datetime.now(UTC) if not self.running("airflow-dag-processor") else datetime.min.replace(tzinfo=UTC)
            for service in self.all():
                if not self.running(service.name):
                    self._launch(service)
                self._await(service)
            self._make_pool()
            self._await_dag(begun)
        self._tell()

    def _settle_ports(self) -> None:
        """Refuse other ports than those that running services have, and ports that others have; note them."""
        ports = {"airflow": _number(self.airflow), "mlflow": _number(self.mlflow)}
        idle = [service for service in self.all() if not self.running(service.name)]
        former = read_json(self.ports_file) if self.ports_file.is_file() else ports
        if len(idle) < len(self.all()) and former != ports:
            raise ValueError(
                f"the services run on the ports {former['airflow']} and {former['mlflow']}: stop them first"
            )
        for service in idle:
            self._refuse_taken_port(service)
        write_json(self.ports_file, ports)

    def _migrate(self) -> None:
        if not self.running("airflow-scheduler"):
            log = self.logs / "airflow-migrate.log"
            with log.open("ab") as sink:
                done = subprocess.run(
                    [self._airflow_program(), "db", "migrate"], env=self.environment(), stdout=sink, stderr=sink
                )
            if done.returncode:
                raise ValueError(f"Airflow's database could not be made:\n{_end_of(log)}")
            with closing(sqlite3.connect(self.airflow_home / "airflow.db")) as database:
                database.execute("PRAGMA journal_mode=WAL")  # readers and a writer at once; it stays so

    def _make_experiment(self) -> None:
        """Make the experiment before a stage asks the server for it: runs without a server must reach its artifacts."""
        tracking.kept_in(self.main).mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_TRACKING_URI"] = self._database
        tracking.experiment_id(tracking.connect())

    def _refuse_taken_port(self, service: Service) -> None:
        address = {"mlflow": self.mlflow, "airflow-api-server": self.airflow}.get(service.name)
        if address is None:
            return
        port = _number(address)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                variable = "MEDSLIP_MLFLOW_PORT" if service.name == "mlflow" else "MEDSLIP_AIRFLOW_PORT"
                raise ValueError(
                    f"port {port} for {service.name} is taken by another program: end it, or set {variable}"
                ) from None

    def _launch(self, service: Service) -> None:
        with (self.logs / f"{service.name}.log").open("ab") as sink:
            process = subprocess.Popen(
                service.command,
                cwd=self.main,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        session = self._session(service.name)
        if (former := session.group()) is not None:  # a crash may have left processes of it, which stop shall find
            session.path.rename(self.folder / f"{service.name}.{former[0]}.session")
        session.write(process.pid)
        print(f"starting {service.name}", flush=True)

    def _await(self, service: Service) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while not service.healthy():
            if not self.running(service.name) or time.monotonic() > deadline:
                log = self.logs / f"{service.name}.log"
                raise ValueError(f"{service.name} does not become healthy; the end of {log}:\n{_end_of(log)}")
            time.sleep(0.5)

    def client(self) -> Client:
        """Logged in to Airflow.

        Raises:
            ValueError: it does not run, or has never been started.
        """
        if not self.passwords.is_file():
            raise ValueError("the services have never been started: make services")
        try:
            return Client.from_password_file(self.airflow, self.passwords)
        except requests.ConnectionError:
            raise ValueError(f"Airflow does not answer at {self.airflow}: make services") from None

    def _make_pool(self) -> None:
        """The pool in which stages wait for the GPU: one slot, unless somebody has given it more."""
        client = self.client()
        try:
            client.get(f"/pools/{GPU_POOL}")
        except Refused:
            client.post("/pools", {"name": GPU_POOL, "slots": 1, "description": "stages that want the GPU"})

    def _await_dag(self, begun: datetime) -> None:
        """Wait until the DAG is drawn from the files as they stand: a run is made of what was drawn last.

        Where it cannot be drawn, say why: Airflow's page does so, too, and goes on when the file is mended.
        """
        client, deadline = self.client(), time.monotonic() + HEALTHY_SECONDS
        while time.monotonic() < deadline:
            errors = client.get("/importErrors")["import_errors"]
            if errors:
                print(f"the DAG cannot be drawn: {errors[0]['stack_trace'].strip().splitlines()[-1]}")
                return
            try:
                parsed = client.get(f"/dags/{DAG_ID}")["last_parsed_time"]
            except Refused:
                parsed = None
            if parsed and datetime.fromisoformat(parsed) >= begun:
                return
            time.sleep(0.5)

    def _tell(self) -> None:
        print(f"Airflow:  {self.airflow}   user {USER}, password {self.password()}")
        print(f"MLflow:   {self.mlflow}")
        print(f"logs:     {self.logs}", flush=True)

    def stop(self) -> None:
        """End every process of the services and of the tasks that they run.

        Raises:
            ValueError: some could not be ended.
        """
        for sign, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + seconds
            told: set[int] = set()
            while left := self.processes():
                if time.monotonic() > deadline:
                    break
                for pid in set(left) - told:  # those that were started meanwhile, too
                    _tell_process(pid, sign)
                told |= set(left)
                time.sleep(0.1)
        if left := self.processes():
            raise ValueError(f"these processes could not be ended: {', '.join(map(str, left))}")
        for file in [*self.folder.glob("*.session"), *self.folder.glob("ports.json")]:
            file.unlink()
        print("the services are stopped", flush=True)


def _tell_process(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def _number(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def port_of(variable: str, default: int) -> int:
    """The port that a variable of the environment names, or the one it has by itself.

    Raises:
        ValueError: it is none.
    """
    given = os.environ.get(variable) or str(default)
    if not given.isdigit() or not 1 <= int(given) <= 65_535:
        raise ValueError(f"{variable} is {given!r}: a port between 1 and 65535 is allowed")
    return int(given)


def _json(address: str) -> Mapping[str, Mapping[str, str]]:
    """What an address answers, as JSON; empty where it answers nothing of the kind."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return dict(session.get(address, timeout=5).json())
    except (requests.RequestException, ValueError):
        return {}


def _answers(address: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(address, timeout=5).ok
    except requests.RequestException:
        return False


def _end_of(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def main() -> int:
    """`start` or `stop`."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.services", description=__doc__)
    parser.add_argument("action", choices=["start", "stop"])
    action = parser.parse_args().action
    return guarded(lambda: getattr(Services(main_checkout()), action)())


if __name__ == "__main__":
    raise SystemExit(main())
