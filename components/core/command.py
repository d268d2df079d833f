"""What every stage's command line shares: its options, its exit statuses, its figures, its MLflow run."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.core import params as parameters
from components.core import paths, tracking
from components.core.records.whole import DISK_FULL, write_json
from components.core.state import kept_until_done
from components.core.stopping import ended_by_term
from components.core.trouble import TryAgain

__all__ = ["GateFailed", "TryAgain", "finish", "guarded", "parser_of", "run_stage", "stage_command"]

BAD_INPUT, GATE_FAILED, TRY_AGAIN, STOPPED = 2, 3, 75, 130
STATUS_FILE_VARIABLE = "MEDSLIP_STATUS_FILE"

Run = Callable[[parameters.Params, str], dict[str, Any]]


class GateFailed(Exception):
    """A gate said no: the data or the model is not good enough (exit status 3)."""


BAD_INPUT_ERRORS = (
    ValueError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
NO_PATH = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS})


def guarded(action: Callable[[], None]) -> int:
    """Run an action and turn its errors into a sentence on stderr and an exit status.

    Bad input gives 2, a failed gate 3, a passing trouble 75; a defect of ours keeps its traceback.
    """
    try:
        action()
        return 0
    except BAD_INPUT_ERRORS as error:
        return _bad_input(error)
    except GateFailed as error:
        print(f"gate failed: {error}", file=sys.stderr)
        return GATE_FAILED
    except TryAgain as error:
        print(f"try again: {error}", file=sys.stderr)
        return TRY_AGAIN
    except OSError as error:
        if error.errno in NO_PATH:
            return _bad_input(error)
        if error.errno not in DISK_FULL:
            raise
        where = f" for {error.filename}" if error.filename else ""
        print(f"try again: the disk is full{where}; what stood there before is as it was", file=sys.stderr)
        return TRY_AGAIN


def _bad_input(error: Exception) -> int:
    """Say what is wrong with the input; a developer gets the traceback."""
    if os.environ.get("MEDSLIP_DEBUG"):
        raise error
    print(f"error: {_sentence(error)}", file=sys.stderr)
    return BAD_INPUT


def _sentence(error: Exception) -> str:
    """What an error says; the system's errors without their number, behind the file that they are about."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def finish(status: int) -> None:
    """Leave with a status, told to the launcher in a side file since DVC hides it."""
    told = os.environ.get(STATUS_FILE_VARIABLE)
    if told:
        Path(told).write_text(f"{status}\n", encoding="ascii")
    raise SystemExit(status)


def parser_of(stage: str, description: str | None, item: str | None) -> argparse.ArgumentParser:
    """The argument parser of a stage; `item` names what a mapped stage works on, such as dataset."""
    parser = argparse.ArgumentParser(
        prog=f"python -m components.{stage}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if item is not None:
        parser.add_argument("item", metavar=item.upper(), help=f"the {item}, as in params.yaml")
    return parser


def run_stage(stage: str, run: Run, item: str | None) -> None:
    """Run a stage in the current workspace: read params.yaml, work, write its figures, log them.

    Raises:
        TryAgain: TERM came; the stage is as if it had not begun, but for what it keeps to go on from.
    """
    with ended_by_term(), kept_until_done():
        params = parameters.load(paths.PARAMS)
        with tracking.stage_run(stage, item, params) as logged:
            figures = run(params, item or "")
            write_json(paths.metrics_file(stage, item), figures)
            logged.log_figures(figures)


def stage_command(stage: str, run: Run, description: str | None, item: str | None = None) -> None:
    """The whole command line of a stage that has no other use: `python -m components.<stage> [ITEM]`.

    Args:
        stage: the stage's name, which is its folder's and its section's of params.yaml.
        run: does the work in the current workspace and returns the figures for `metrics/<stage>[/<item>].json`.
        description: the help text, usually the module's docstring.
        item: what the stage is mapped over (dataset, task), or None.
    """
    arguments = parser_of(stage, description, item).parse_args()
    try:
        status = guarded(lambda: run_stage(stage, run, arguments.item if item else None))
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "interrupted", file=sys.stderr)
        status = STOPPED
    finish(status)
