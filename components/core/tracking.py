"""The one place that talks to MLflow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from components.core.params import Params


class StageRun:
    """A stage's run in MLflow."""

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        """Log every number of a stage's metrics file under its path, such as `auroc.macro.value`."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics of a training step."""


@contextmanager
def stage_run(stage: str, item: str | None, params: Params) -> Iterator[StageRun]:
    """A child run of the pipeline's run for the time of a stage."""
    yield StageRun()
