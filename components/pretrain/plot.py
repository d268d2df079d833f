"""The curve of the losses."""

from collections.abc import Container
from pathlib import Path

from matplotlib.figure import Figure

from components.core.model.objective import TERM_NAMES
from components.core.records.whole import whole_file


def terms_in(row: Container[str]) -> list[str]:
    """The terms of the loss among the names of a row: each form has its own."""
    return [name for name in TERM_NAMES if name in row]


def plot_losses(rows: list[dict[str, float]], path: Path) -> None:
    """Draw every term against the step, and the validation figure, where there is one, beside them, as a PNG."""
    looks = [row for row in rows if "validation_auroc" in row]
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, *rest = figure.subplots(1, 2 if looks else 1, squeeze=False)[0]
    losses = [row for row in rows if "loss" in row]
    for name in terms_in(losses[0]) if losses else []:
        left.plot([row["step"] for row in losses], [row[name] for row in losses], label=name.replace("_", " "))
    left.set(xlabel="step", ylabel="loss", title="Losses on training images")
    if losses:
        left.legend()
    for right in rest:
        right.plot([row["step"] for row in looks], [row["validation_auroc"] for row in looks], marker="o")
        right.set(xlabel="step", ylabel="macro AUROC", title="Validation patients, report truth", ylim=(0.4, 1.0))
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
