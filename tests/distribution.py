"""Which tests share a process when several run them: what stands on a costly fixture, and otherwise those of a file."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

COSTLY = ("tests/docker/", "tests/pipelines/airflow/", "tests/test_learning.py", "tests/test_pipeline.py")


class ByFile(LoadScopeScheduling):
    """Hands out files, but the costly ones, whose fixtures are made once, to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return "costly" if nodeid.startswith(COSTLY) else nodeid.split("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(COSTLY))


def pytest_xdist_make_scheduler(config: Any, log: Any) -> ByFile:
    """The scheduler of `make test`."""
    return ByFile(config, log)
