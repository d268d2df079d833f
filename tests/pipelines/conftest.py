"""A checkout of this repository with a short history, in which nothing has run."""

import subprocess
from pathlib import Path

import pytest

from tests.finished_run import GIT, copy_repository


@pytest.fixture(scope="module")
def fresh(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files as a git repository of its own, one commit."""
    folder = tmp_path_factory.mktemp("fresh")
    copy_repository(repository, folder)
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True)
    return folder
