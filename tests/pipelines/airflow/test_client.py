"""The client beside an Airflow whose database is busy: a server on loopback that answers as it does."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.airflow import client
from pipelines.airflow.client import Client, Refused

BUSY = {"detail": {"reason": "Database error", "statement": "hidden", "orig_error": "hidden"}}
Serve = Callable[[list[tuple[int, object]]], Client]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Makes a client of a server that logs in and then gives these answers, one after another."""
    monkeypatch.setattr(client, "PAUSE", 0.0)
    left: list[tuple[int, object]] = [(201, {"access_token": "token"})]

    class Answers(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = left.pop(0)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def serve(answers: list[tuple[int, object]]) -> Client:
        left.extend(answers)
        return Client(f"http://127.0.0.1:{server.server_port}", "admin", "secret")

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()
    assert not left


def test_what_a_busy_database_took_back_is_sent_again(served: Serve) -> None:
    airflow = served([(500, BUSY), (500, BUSY), (200, {"state": "failed"})])
    assert airflow.patch("/dags/medslip/dagRuns/one", {"state": "failed"}) == {"state": "failed"}


def test_a_database_that_stays_busy_is_told(served: Serve) -> None:
    with pytest.raises(Refused, match="Database error"):
        served([(500, BUSY)] * client.TRIES).get("/dags")


@pytest.mark.parametrize(("status", "body"), [(500, {"detail": "Internal"}), (404, {"detail": "none"}), (409, BUSY)])
def test_any_other_no_is_final(served: Serve, status: int, body: object) -> None:
    with pytest.raises(Refused):
        served([(status, body)]).get("/dags")
