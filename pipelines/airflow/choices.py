"""The fields at the top of the trigger form: how a run is made, beside its parameters."""

import os
from collections.abc import Sequence
from pathlib import Path

from pipelines.airflow.form import Field
from pipelines.workspace import profiles

RUNNERS = ("process", "docker")
RUNNER_VARIABLE = "MEDSLIP_RUNNER"


def choices(stages: Sequence[str], checkout: Path) -> list[Field]:
    """Profile, revision, runner, and the stages to force.

    Raises:
        ValueError: MEDSLIP_RUNNER names no runner.
    """
    runner = os.environ.get(RUNNER_VARIABLE) or RUNNERS[0]
    if runner not in RUNNERS:
        raise ValueError(f"{RUNNER_VARIABLE} is {runner!r}: {' or '.join(RUNNERS)} is allowed")
    return [
        Field(
            "profile",
            None,
            None,
            "Another set-up laid over the parameters below; a field below that you change lies over it again.",
            {"type": ["string", "null"], "enum": [*profiles(checkout), None], "values_display": {"null": "none"}},
        ),
        Field(
            "revision",
            None,
            "HEAD",
            "Git revision of the code. Of another one than HEAD, the parameters that you leave are its own.",
            {"type": "string", "allOf": [{"minLength": 1, "maxLength": 200}]},
        ),
        Field(
            "runner",
            None,
            runner,
            "Where stages run: as processes on this machine, or each in its container.",
            {"type": "string", "enum": list(RUNNERS)},
        ),
        Field(
            "force",
            None,
            None,
            "Stages that run even if nothing changed.",
            {
                "type": ["array", "null"],
                "examples": list(stages),
                "allOf": [{"items": {"enum": list(stages)}}],
            },
        ),
    ]
