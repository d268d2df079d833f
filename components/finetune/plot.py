"""The picture of fine-tuning: AUROC by share of the labels, from both starts."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

STYLES = {"pretrained": ("tab:blue", "o", -0.03), "scratch": ("tab:orange", "s", 0.03)}


def draw_shares(figures: dict[float, dict[str, Any]], path: Path) -> None:
    """Macro AUROC with its interval at every share; shares stand side by side, evenly spaced."""
    figure, axes = plt.subplots(figsize=(5.6, 4), dpi=100, layout="constrained")
    shares = sorted(figures)
    for start, (colour, marker, shift) in STYLES.items():
        rows = [(place, figures[share][start]["auroc"]["macro"]) for place, share in enumerate(shares)]
        known = [(place + shift, row) for place, row in rows if row["value"] is not None]
        if known:
            xs, values = [place for place, _ in known], [row["value"] for _, row in known]
            below = [row["value"] - row["low"] for _, row in known]
            above = [row["high"] - row["value"] for _, row in known]
            axes.errorbar(xs, values, yerr=[below, above], color=colour, marker=marker, capsize=4, label=start)
    axes.axhline(0.5, color="0.6", linewidth=0.8, linestyle="--")
    ticks = [f"{share:.4g}\n{figures[share]['patients']} patients" for share in shares]
    axes.set_xticks(range(len(shares)), ticks)
    axes.set(xlabel="Share of the labelled patients", ylabel="Macro AUROC on test patients, 95 % interval")
    axes.set_xlim(-0.4, len(shares) - 0.6)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)
