"""A scheduler that hangs is ended; one that works, starts or cannot be asked about is left alone."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipelines.airflow.watched import silent, watch

REPORT = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy"}}


def command(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_gives_no_sign_of_life_is_killed(tmp_path: Path) -> None:
    code = f"import pathlib, time; time.sleep(5); pathlib.Path({str(tmp_path / 'lived')!r}).touch()"
    assert watch(command(code), lambda: True, 0.05, 0.3) == 1
    assert not (tmp_path / "lived").exists()


def test_a_sign_of_life_begins_the_count_anew() -> None:
    answers = iter([True, True, False] * 100)
    assert watch(command("import time; time.sleep(1.5)"), lambda: next(answers), 0.05, 0.25) == 0


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_commands_own_status_is_kept(code: str, status: int) -> None:
    assert watch(command(code), lambda: False) == status


def test_what_stops_the_watch_stops_the_command() -> None:
    trap = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    environment = {**os.environ, "AIRFLOW__API__BASE_URL": "http://127.0.0.1:9"}
    watching = subprocess.Popen(
        [sys.executable, "-m", "pipelines.airflow.watched", "sh", "-c", trap],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline() == "ready\n"
    watching.send_signal(signal.SIGTERM)
    assert watching.wait(30) == 7


@pytest.fixture
def reporting() -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """A server that gives a health report, and the report."""
    report = json.loads(json.dumps(REPORT))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(report).encode())

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", report
        server.shutdown()


def test_silence_is_what_a_server_that_reaches_its_database_says(
    reporting: tuple[str, dict[str, dict[str, str]]],
) -> None:
    address, report = reporting
    assert not silent(address)
    report["scheduler"]["status"] = "unhealthy"
    assert silent(address)
    report["metadatabase"]["status"] = "unhealthy"  # nobody can know
    assert not silent(address)
    assert not silent("http://127.0.0.1:9")
