"""Pictures of a segmentation: the best, the median and the worst test image with a finding, by their Dice."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

from components.core.records.masks import mask_of
from components.core.records.shards import ImageShards
from components.finetune.examples import Labelled

TRUTH, PREDICTED = "tab:green", "tab:orange"


def chosen_rows(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The best, the median and the worst row of the test split; of equal Dice the first by the image's id.

    No row stands twice: of two there are the best and the median, of one the best.
    """
    rows = table[(table["split"] == "test") & table["dice"].notna()]
    rows = rows.sort_values(["dice", "image_id"], ascending=[False, True]).reset_index(drop=True)
    place_of = {"best": 0, "median": len(rows) // 2, "worst": len(rows) - 1}
    first = {place: word for word, place in reversed(place_of.items()) if 0 <= place < len(rows)}
    return {word: rows.iloc[place] for place, word in sorted(first.items())}


def draw_overlays(table: pd.DataFrame, test: Labelled, shards: ImageShards, path: Path) -> None:
    """Both outlines on the chosen images; no picture where no test image has a finding."""
    chosen = chosen_rows(table)
    if not chosen:
        return
    place_of = {image: place for place, image in enumerate(test.images["image_id"])}
    figure, all_axes = plt.subplots(
        1, len(chosen), figsize=(3 * len(chosen), 3.8), dpi=100, layout="constrained", squeeze=False
    )
    for axes, (word, row) in zip(all_axes[0], chosen.items(), strict=True):
        place = place_of[row["image_id"]]
        image_SS = shards[int(test.images["shard"][place]), int(test.images["row"][place])]
        axes.imshow(image_SS, cmap="gray", vmin=0, vmax=255)
        masks = {TRUTH: test.outlines[place].mask(), PREDICTED: mask_of(row["runs"], *image_SS.shape)}
        for colour, mask_SS in masks.items():
            if mask_SS.any():
                axes.contour(mask_SS > 0, levels=[0.5], colors=[colour], linewidths=1.5)
        axes.set_title(f"{word}: Dice {row['dice']:.2f}", fontsize=10, pad=8)
        axes.set_axis_off()
    lines = [
        Line2D([], [], color=colour, label=label) for colour, label in ((TRUTH, "truth"), (PREDICTED, "predicted"))
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)
