"""Which tests share a process when several run them: what stands on a costly fixture, and otherwise those of a file."""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

COSTLY = ("tests/docker/", "tests/pipelines/airflow/", "tests/test_learning.py", "tests/test_pipeline.py")


class ByFile(LoadScopeScheduling):
    """Hands out files, but the costly ones, whose fixtures are made once, to one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "costly" if file.startswith(COSTLY) else file


def pytest_xdist_make_scheduler(config: Any, log: Any) -> ByFile:
    """The scheduler of `make test`."""
    return ByFile(config, log)
