"""What a machine cannot run is listed at the end of the tests."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

@pytest.fixture
def engine():
    pytest.skip("there is no Docker engine")

def test_in_a_container(engine): ...

@pytest.mark.skip(reason="never")
def test_never(): ...

def test_here(): ...
"""


def test_skipped_tests_are_listed_by_name_and_reason(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.skipped", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    title = next(number for number, line in enumerate(lines) if "not run on this machine: 2" in line)
    assert lines[title + 1 : title + 3] == [
        "test_some.py::test_in_a_container: there is no Docker engine",
        "test_some.py::test_never: never",
    ]
