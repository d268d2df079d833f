"""Airflow's services as `docker/compose.yaml` has them, as processes of this machine on a real PostgreSQL.

Each is started again when it ends, which is what the file's restart policy says.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from pipelines.airflow.client import Client
from pipelines.stack import Stack
from tests.pipelines.airflow.stack import until
from tests.postgres_server import PostgresServer

FIRST = "airflow-database"
SERVICES = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor")
UNLESS_STOPPED = 'while :; do "$@"; sleep 1; done'
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Composed:
    """The services of a checkout.

    Args:
        stack: what the compose file is filled with, and its secrets.
        folder: stands for the volumes, and gets the logs.
        airflow: the environment that has Airflow.
    """

    def __init__(self, stack: Stack, folder: Path, airflow: Path) -> None:
        self.stack, self.folder, self.airflow = stack, folder, airflow
        self.sessions: list[subprocess.Popen[bytes]] = []

    def services(self) -> Mapping[str, Any]:
        """The services of the file, with places of this machine where a container has mounts."""
        values = self.stack.environment()
        text = (self.stack.main / "docker/compose.yaml").read_text(encoding="utf-8")
        text = VARIABLE.sub(lambda found: values.get(found[1], found[2] or ""), text).replace("$$", "$")
        places = {"/run/secrets/": f"{self.stack.secrets.folder}/", "/run/passwords/": f"{self.passwords.parent}/",
                  ": /airflow": f": {self.folder}"}  # fmt: skip
        for inside, outside in places.items():
            text = text.replace(inside, outside)
        return dict(yaml.safe_load(text)["services"])

    @property
    def passwords(self) -> Path:
        """The file of Airflow's users."""
        return self.stack.secrets.folder / "passwords/passwords.json"

    @property
    def address(self) -> str:
        """Where Airflow answers."""
        return f"http://127.0.0.1:{self.stack.ports['AIRFLOW']}"

    def environment_of(self, service: Mapping[str, Any]) -> dict[str, str]:
        """The file's environment, its programs and the Python of the stages on the path."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PG"))}
        path = f"{self.airflow / 'bin'}{os.pathsep}{os.environ['PATH']}"
        theirs = {name: str(value) for name, value in service["environment"].items()}
        return {**ours, **theirs, "PATH": path, "MEDSLIP_PYTHON": sys.executable}

    def start(self) -> None:
        """Make the database's tables, then start the services and wait for their health."""
        services = self.services()
        with (self.folder / "log").open("ab") as sink:
            settings: dict[str, Any] = {"stdout": sink, "stderr": sink, "cwd": self.stack.main}
            first = services[FIRST]
            subprocess.run(first["command"], env=self.environment_of(first), check=True, **settings)
            for name in SERVICES:
                command = ["sh", "-c", UNLESS_STOPPED, "sh", *services[name]["command"]]
                environment = self.environment_of(services[name])
                self.sessions.append(subprocess.Popen(command, env=environment, start_new_session=True, **settings))
        until(self.healthy, "Airflow's health", 300)

    def healthy(self) -> bool:
        """Whether Airflow says that each part of it is healthy."""
        try:
            report = requests.get(f"{self.address}/api/v2/monitor/health", timeout=30).json()
        except (requests.RequestException, ValueError):
            return False
        return all(report[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def client(self) -> Client:
        """Logged in."""
        return Client.from_password_file(self.address, self.passwords)

    def stop(self) -> None:
        """End them and all that they have started."""
        for session in self.sessions:
            started = psutil.Process(session.pid).children(recursive=True)
            session.kill()  # first who would start them again
            session.wait()
            for process in started:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


@contextmanager
def composed(stack: Stack, postgres: PostgresServer, folder: Path, airflow: Path) -> Iterator[Composed]:
    """The services for the time of a block, on databases that the stack's own script makes."""
    stack.secrets.make()
    environment = {**os.environ, **postgres.environment(), "SECRETS": str(stack.secrets.folder)}
    script = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=postgres",
              f"--file={stack.main}/docker/databases.sql"]  # fmt: skip
    subprocess.run(script, env=environment, check=True)
    services = Composed(stack, folder, airflow)
    try:
        services.start()
        yield services
    finally:
        services.stop()
        for name in ("airflow", "mlflow"):
            postgres.sql([f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}"])
