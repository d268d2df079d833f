"""A launcher's command as the child of a task: its lines, its environment, its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.airflow.commands import Lines, environment_of, run_command
from pipelines.airflow.notes import LONGEST, last_lines, note_of, reason
from pipelines.processes import started


def test_lines_come_whole_without_colours_and_progress_bars_in_their_last_form() -> None:
    shown: list[str] = []
    lines = Lines(shown.append)
    for chunk in (
        b"one\ntw",
        b"o\n",
        b"\x1b[32mgreen\x1b[0m\n",
        b" 1%\r 50%\r100%\r\n",
        b"\n\n",
        b"\xff\xc3",
        b"\xa9\nend",
    ):
        lines(chunk)
    lines.end()
    assert shown == ["one", "two", "green", "100%", "�é", "end"]


def test_a_command_sees_nothing_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/airflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    environment = environment_of("run one")
    assert not {"AIRFLOW__CORE__FERNET_KEY", "PYTHONPATH"} & set(environment)
    assert environment["MEDSLIP_PIPELINE_RUN"] == "run one"
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1"
    assert "MEDSLIP_PIPELINE_RUN" not in environment_of(None) or "MEDSLIP_PIPELINE_RUN" in os.environ


def test_a_command_tells_its_lines_and_its_status(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSLIP_PYTHON", sys.executable)
    shown: list[str] = []
    assert run_command(["graph"], repository, None, tmp_path / "record", shown.append) == 0
    assert shown[0].startswith("phantom: ")
    assert run_command(["stage", "nowhere"], repository, None, tmp_path / "record", shown.append) == 2
    assert shown[-1].startswith("error: there is no stage 'nowhere'")
    assert not (tmp_path / "record").exists()


TASK = """
import signal, sys
from pathlib import Path
from pipelines.airflow.commands import run_command

def stop(number, frame):
    raise RuntimeError("the task was told to stop")

signal.signal(signal.SIGTERM, stop)
run_command(["sleep"], Path(sys.argv[1]), None, Path(sys.argv[1]) / "record", print)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_ends_with_its_task(tmp_path: Path, repository: Path, sign: signal.Signals) -> None:
    python = tmp_path / "python"  # stands for the components' Python and starts a child, as stages do
    python.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/pid\nwait\n", encoding="utf-8")
    python.chmod(0o755)
    task = subprocess.Popen(
        [sys.executable, "-c", TASK, str(tmp_path)], env={**os.environ, "MEDSLIP_PYTHON": str(python)}, cwd=repository
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text(encoding="ascii").strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text(encoding="ascii"))
    task.send_signal(sign)
    task.wait(120)
    while started(child) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_note_keeps_its_links_whatever_its_length() -> None:
    links = {"MLflow": "http://127.0.0.1:5000/#/runs/1"}
    assert note_of(["revision 1", "changed: nothing"], links) == (
        "- revision 1\n- changed: nothing\n- [MLflow](http://127.0.0.1:5000/#/runs/1)"
    )
    long = note_of(["x" * 700, "y" * 700, "z"], links)
    assert len(long) <= LONGEST
    assert long.endswith("- [MLflow](http://127.0.0.1:5000/#/runs/1)")


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\n\ntwo\n\xff three\n\n")
    assert last_lines(tmp_path / "log", 2) == ["two", "� three"]
    assert last_lines(tmp_path / "none", 2) == []


def test_the_reason_is_the_stages_own_sentence(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Running\ngate failed: too few\n  detail\nERROR: failed to reproduce 'quality'\n", encoding="utf-8")
    assert reason(log) == "gate failed: too few"
    log.write_text("Running\nKeyError: 'x'\n", encoding="utf-8")
    assert reason(log) == "KeyError: 'x'"
    assert reason(tmp_path / "none") == ""
