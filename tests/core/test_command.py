"""How a stage's command line ends: exit statuses, sentences, the side file, the figures."""

import ast
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.core.command import (
    BAD_INPUT,
    GATE_FAILED,
    STATUS_FILE_VARIABLE,
    STOPPED,
    TRY_AGAIN,
    GateFailed,
    TryAgain,
    finish,
    guarded,
)
from components.core.params import read_yaml
from components.core.records.whole import whole_file

STAGE_OF_INVENTORY = Path(__file__).resolve().parents[2] / "components/inventory/stage.py"
STAGE = """
import os, signal
from components.core.command import GateFailed, TryAgain, stage_command

def run(params, item):
    '''Ends as the item says.'''
    if item == "gate":
        raise GateFailed("too few images")
    if item == "again":
        raise TryAgain("nobody answers")
    if item == "bad":
        raise ValueError("no such archive")
    if item in ("SIGTERM", "SIGINT"):
        os.kill(os.getpid(), getattr(signal, item))
    if item == "defect":
        raise KeyError("x")
    return {"item": item, "seed": params.phantom.seed}

stage_command("reports", run, "Ends as the item says.", "dataset")
"""


@pytest.fixture
def workspace(tmp_path: Path, repository: Path) -> Path:
    (tmp_path / "stage.py").write_text(STAGE, encoding="utf-8")
    (tmp_path / "params.yaml").write_bytes((repository / "params.yaml").read_bytes())
    return tmp_path


def run(workspace: Path, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(repository), STATUS_FILE_VARIABLE: str(workspace / "status")}
    return subprocess.run(
        [sys.executable, "stage.py", *arguments], cwd=workspace, env=environment, capture_output=True, text=True
    )


def test_a_stage_that_ends_well_leaves_its_figures(workspace: Path, repository: Path) -> None:
    done = run(workspace, repository, "mimic_cxr")
    assert done.returncode == 0, done.stderr
    figures = json.loads((workspace / "metrics/reports/mimic_cxr.json").read_text(encoding="utf-8"))
    assert figures == {"item": "mimic_cxr", "seed": read_yaml(repository / "params.yaml")["phantom"]["seed"]}
    assert (workspace / "status").read_text(encoding="ascii") == "0\n"


@pytest.mark.parametrize(
    ("item", "status", "sentence"),
    [
        ("bad", BAD_INPUT, "error: no such archive\n"),
        ("gate", GATE_FAILED, "gate failed: too few images\n"),
        ("again", TRY_AGAIN, "try again: nobody answers\n"),
        ("SIGTERM", TRY_AGAIN, "try again: told to stop; the same command goes on from what has been kept\n"),
        ("SIGINT", STOPPED, "interrupted\n"),
    ],
)
def test_what_a_stage_says_is_a_sentence_and_a_status(
    workspace: Path, repository: Path, item: str, status: int, sentence: str
) -> None:
    done = run(workspace, repository, item)
    assert (done.returncode, done.stderr) == (status, sentence)
    assert (workspace / "status").read_text(encoding="ascii") == f"{status}\n"
    assert not (workspace / "metrics").exists()


def test_a_defect_of_ours_keeps_its_traceback(workspace: Path, repository: Path) -> None:
    done = run(workspace, repository, "defect")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert not (workspace / "status").exists()


def test_a_wrong_parameter_is_a_sentence(workspace: Path, repository: Path) -> None:
    content = read_yaml(workspace / "params.yaml")
    content["pretrain"]["epochs"] = 0
    (workspace / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    done = run(workspace, repository, "mimic_cxr")
    assert done.returncode == BAD_INPUT
    assert done.stderr == (
        "error: params.yaml: pretrain.epochs: 0 is not allowed; it must be a whole number at least 1 and at most "
        "10,000\n"
    )


def test_figures_that_are_not_numbers_are_refused(workspace: Path, repository: Path) -> None:
    text = (workspace / "stage.py").read_text(encoding="utf-8").replace("params.phantom.seed", "float('nan')")
    (workspace / "stage.py").write_text(text, encoding="utf-8")
    done = run(workspace, repository, "mimic_cxr")
    assert done.returncode != 0
    assert not (workspace / "metrics/reports/mimic_cxr.json").exists()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("x"), 2),
        (FileNotFoundError("x"), 2),
        (PermissionError("x"), 2),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 2),
        (GateFailed("x"), 3),
        (TryAgain("x"), 75),
        (OSError(errno.ENOSPC, "No space left on device"), 75),
    ],
)
def test_errors_have_statuses(error: Exception, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDSLIP_DEBUG", raising=False)

    def action() -> None:
        raise error

    assert guarded(action) == status


def test_errors_of_the_system_name_their_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded((tmp_path / "nothing").read_bytes) == BAD_INPUT  # type: ignore[arg-type]
    assert capsys.readouterr().err == f"error: {tmp_path}/nothing: No such file or directory\n"

    def fill(path: Path) -> None:
        with whole_file(path) as temporary:
            temporary.write_text("begun")
            raise OSError(errno.ENOSPC, "No space left on device")

    assert guarded(lambda: fill(tmp_path / "table")) == TRY_AGAIN
    assert capsys.readouterr().err.startswith(f"try again: the disk is full for {tmp_path}/table; what stood")


def test_a_developer_sees_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSLIP_DEBUG", "1")

    def action() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        guarded(action)


def test_the_status_is_told_in_the_side_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATUS_FILE_VARIABLE, str(tmp_path / "status"))
    with pytest.raises(SystemExit) as ending:
        finish(3)
    assert ending.value.code == 3
    assert (tmp_path / "status").read_text(encoding="ascii") == "3\n"


def test_help_says_what_a_stage_does(repository: Path) -> None:
    command = [sys.executable, "-m", "components.inventory", "--help"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    assert "the dataset, as in params.yaml" in done.stdout
    assert (ast.get_docstring(ast.parse(STAGE_OF_INVENTORY.read_text(encoding="utf-8"))) or "")[:40] in done.stdout
