"""The picture of fine-tuning: the headline figure by share of the labels, from every start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

STYLES = {
    "pretrained": ("tab:blue", "o", -0.04),
    "imagenet": ("tab:green", "^", 0.0),
    "scratch": ("tab:orange", "s", 0.04),
}
WORDS = {"auroc": "Macro AUROC on test patients", "dice": "Dice on test images with a finding"}
CHANCE = {"auroc": 0.5}


def headline_of(figures: Mapping[str, Any], share: str, start: str) -> Mapping[str, Any]:
    """The headline figure of a start at a share: `value`, `low`, `high`."""
    headline: Mapping[str, Any] = figures["shares"][share][start][figures["headline"]]
    return headline.get("macro", headline)


def draw_shares(figures: Mapping[str, Any], path: Path) -> None:
    """The headline figure with its interval at every share; shares stand side by side, evenly spaced.

    No picture where no start has the figure at any share.
    """
    figure, axes = plt.subplots(figsize=(5.6, 4), dpi=100, layout="constrained")
    shares = list(figures["shares"])
    for start, (colour, marker, shift) in STYLES.items():
        rows = [
            (place + shift, headline_of(figures, share, start))
            for place, share in enumerate(shares)
            if start in figures["shares"][share]
        ]
        known = [(place, row) for place, row in rows if row["value"] is not None]
        if known:
            xs, values = [place for place, _ in known], [row["value"] for _, row in known]
            below = [row["value"] - row["low"] for _, row in known]
            above = [row["high"] - row["value"] for _, row in known]
            axes.errorbar(xs, values, yerr=[below, above], color=colour, marker=marker, capsize=4, label=start)
    if figures["headline"] in CHANCE:
        axes.axhline(CHANCE[figures["headline"]], color="0.6", linewidth=0.8, linestyle="--")
    ticks = [
        f"{share.removesuffix('_percent').replace('_', '.')} %\n{figures['shares'][share]['patients']} patients"
        for share in shares
    ]
    axes.set_xticks(range(len(shares)), ticks)
    axes.set(xlabel="Share of the labelled patients", ylabel=f"{WORDS[figures['headline']]},\n95 % interval")
    axes.set_xlim(-0.4, len(shares) - 0.6)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower right")
        figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)
