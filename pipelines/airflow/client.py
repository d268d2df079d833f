"""A client of Airflow's REST API: what the terminal and the tests use as a browser does."""

import json
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

SECONDS = 90.0  # an answer may wait for SQLite's lock, as long as services.py allows, and a while longer
TRIES, PAUSE = 5, 1.0  # of a request whose transaction the database took back, and seconds between them


class Refused(ValueError):
    """Airflow says no, and why."""


class Client:
    """Talks to one Airflow.

    Args:
        address: such as `http://127.0.0.1:8080`.
        user: who logs in.
        password: with what.

    Raises:
        Refused: the log-in is wrong.
        requests.RequestException: nobody answers there.
    """

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = address.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy between us and loopback
        answer = self._send("POST", "/auth/token", {"username": user, "password": password})
        self.session.headers["Authorization"] = f"Bearer {answer['access_token']}"

    @classmethod
    def from_password_file(cls, address: str, path: Path) -> "Client":
        """Log in as the first user of a password file of Airflow's simple auth manager.

        Raises:
            ValueError: the file is damaged.
        """
        try:
            user, password = next(iter(json.loads(path.read_text(encoding="utf-8")).items()))
        except (ValueError, StopIteration, AttributeError):
            raise ValueError(f"{path} holds no user and password: remove it and start the services again") from None
        return cls(address, user, password)

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        for attempt in range(1, TRIES + 1):
            answer = self.session.request(method, self.address + path, json=body, timeout=SECONDS)
            if answer.status_code < HTTPStatus.BAD_REQUEST:
                break
            reason = _reason(answer)
            if attempt == TRIES or not _taken_back(answer.status_code, reason):
                raise Refused(reason if isinstance(reason, str) else json.dumps(reason))
            time.sleep(PAUSE)
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        """What Airflow says at a path below `/api/v2`."""
        return self._send("GET", f"/api/v2{path}")

    def post(self, path: str, body: Any) -> Any:
        """Post to a path below `/api/v2`."""
        return self._send("POST", f"/api/v2{path}", body)

    def patch(self, path: str, body: Any) -> Any:
        """Change what stands at a path below `/api/v2`."""
        return self._send("PATCH", f"/api/v2{path}", body)

    def trigger(self, dag: str, parameters: dict[str, Any]) -> str:
        """Start a run with other parameters than the form's defaults; returns the run's id.

        Raises:
            Refused: a parameter is not allowed.
        """
        run = self.post(f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": parameters})
        return str(run["dag_run_id"])

    def run(self, dag: str, run: str) -> Any:
        """A run: its state, its note."""
        return self.get(run_path(dag, run))

    def tasks(self, dag: str, run: str) -> list[Any]:
        """The tasks of a run, each item of a mapped one."""
        return list(self.get(f"{run_path(dag, run)}/taskInstances?limit=500")["task_instances"])

    def log(self, dag: str, run: str, task: Any) -> str:
        """What the last try of a task has logged, exceptions without their traceback."""
        path = f"{run_path(dag, run)}/taskInstances/{task['task_id']}/logs/{max(task['try_number'], 1)}"
        answer = self.get(f"{path}?map_index={task['map_index']}&full_content=true")
        return "\n".join(text for line in answer["content"] for text in _texts(line))


def _reason(answer: requests.Response) -> Any:
    """Why Airflow says no: a sentence, or what it knows by names."""
    try:
        return answer.json().get("detail", answer.text)
    except ValueError:
        return answer.text


def _taken_back(status: int, reason: Any) -> bool:
    """Whether nothing of a request was kept, as where SQLite finds that another has written since it began to read."""
    named = reason.get("reason") if isinstance(reason, dict) else None
    return status == HTTPStatus.INTERNAL_SERVER_ERROR and named == "Database error"


def _texts(line: Any) -> list[str]:
    """A line of a log, and what it says of exceptions."""
    raised = line.get("error_detail") or []
    return [str(line.get("event", line)), *(f"{error['exc_type']}: {error['exc_value']}" for error in raised)]


def run_path(dag: str, run: str) -> str:
    """Where a run stands below `/api/v2`."""
    return f"/dags/{dag}/dagRuns/{quote(run, safe='')}"
