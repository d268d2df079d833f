"""Gates: figures that a model must reach before it gets the alias."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.core import paths
from components.core.params import Gate
from components.core.records.whole import read_json


@dataclass(frozen=True)
class Verdict:
    """What a gate says.

    Attributes:
        file, figure, at_least: the gate.
        value: the figure, None where there is none.
        holds: whether the gate holds; a missing figure never does.
        reason: the same in a sentence.
    """

    file: str
    figure: str
    at_least: float
    value: float | None
    holds: bool
    reason: str

    def content(self) -> dict[str, Any]:
        """The verdict as JSON."""
        return asdict(self)


def figure_in(content: Any, path: str) -> float | None:
    """The number at a path such as `auroc.macro.value`, None where there is none; a key may hold dots itself."""
    if path == "":
        return content if isinstance(content, int | float) and math.isfinite(content) else None
    if not isinstance(content, dict):
        return None
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        key = ".".join(parts[:cut])
        if key in content:
            return figure_in(content[key], ".".join(parts[cut:]))
    return None


def judge(gate: Gate) -> Verdict:
    """Read a gate's figure from the metrics of this workspace and compare."""
    path = paths.METRICS / f"{gate.file}.json"
    value = figure_in(read_json(path), gate.figure) if path.is_file() else None
    if value is None:
        what = f"there is no number {gate.figure} in it" if path.is_file() else "the file does not exist"
        return Verdict(gate.file, gate.figure, gate.at_least, None, False, f"{path}: {what}")
    holds = value >= gate.at_least
    reason = f"{path}: {gate.figure} is {value:.4g}, {'at least' if holds else 'below'} {gate.at_least:.4g}"
    return Verdict(gate.file, gate.figure, gate.at_least, value, holds, reason)


def judge_all(gates: Sequence[Gate]) -> list[Verdict]:
    """The verdicts of all gates, in their order."""
    return [judge(gate) for gate in gates]
