"""Which tests share a process when several run them: what stands on a costly fixture, and otherwise those of a file."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

COSTLY = {
    "tests/pipelines/airflow/": "services",
    "tests/docker/": "containers",
    "tests/pretrain/test_stage.py": "pretraining",  # meanwhile the services' process makes the finished run
    "tests/test_learning.py": "a finished run",
    "tests/test_pipeline.py": "a finished run",
}


def scope_of(nodeid: str) -> str:
    """The name of what goes to one process as a whole."""
    return next((name for start, name in COSTLY.items() if nodeid.startswith(start)), nodeid.split("::")[0])


class ByFile(LoadScopeScheduling):
    """Hands out files, and the costly ones together, whose fixtures are then made once."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    last = len(COSTLY)
    rank = {name: place for place, name in enumerate(COSTLY.values())}
    items.sort(key=lambda item: rank.get(scope_of(item.nodeid), last))


def pytest_xdist_make_scheduler(config: Any, log: Any) -> ByFile:
    """The scheduler of `make test`."""
    return ByFile(config, log)
