"""The pictures of zero-shot evaluation: ROC curves, reliability, and where the model looks."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from sklearn.metrics import roc_curve

from components.core.metrics.classification import Cases
from components.core.metrics.decisions import reliability
from components.core.metrics.ranking import auroc
from components.zero_shot.places import Place

COLUMNS = 4
COLOURS = 256


def _save(figure: Figure, path: Path, colours: int | None = None) -> None:
    """Write a figure as PNG without metadata, so that equal figures give equal bytes; a palette keeps photos small."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    plt.close(figure)
    image = Image.open(buffer).convert("RGB")
    if colours is not None:
        image = image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    image.save(path, format="PNG", optimize=True)


def draw_roc(cases: Cases, path: Path) -> None:
    """ROC curves of the classes, with the area of each in the legend."""
    figure, axes = plt.subplots(figsize=(7.2, 5), dpi=100, layout="constrained")
    colours = plt.get_cmap("tab20")
    for number, name in enumerate(cases.names):
        truth_N, score_N = cases.column(name)
        known_N = truth_N >= 0
        false_T, true_T, _ = roc_curve(truth_N[known_N], score_N[known_N])
        label = f"{name} {auroc(truth_N, score_N):.2f}"
        axes.plot(
            false_T, true_T, color=colours(number % 20), linestyle=("-", ":", "--")[number // 20 % 3], linewidth=1.4,
            label=label,
        )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
    axes.set(xlabel="False positive rate", ylabel="True positive rate", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.set_title("Test patients, area under the curve")
    if cases.names:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    _save(figure, path)


def draw_reliability(cases: Cases, path: Path) -> None:
    """Share of positives against predicted probability, all classes pooled; a point's size is its number of cases."""
    figure, axes = plt.subplots(figsize=(5, 5), dpi=100, layout="constrained")
    rows = reliability(cases.truth_NC.ravel(), cases.score_NC.ravel())
    counts = np.array([row["count"] for row in rows])
    shares = [row["positives"] for row in rows]
    probabilities = [row["probability"] for row in rows]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
    axes.plot(probabilities, shares, color="tab:blue", linewidth=1.2)
    if rows:
        axes.scatter(probabilities, shares, s=10 + 190 * counts / counts.max(), color="tab:blue", alpha=0.6)
    axes.set(xlabel="Mean predicted probability", ylabel="Share of positives", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("Reliability on test patients, declared classes pooled")
    _save(figure, path)


def chosen_places(places: Sequence[Place], count: int) -> list[Place]:
    """Places to show, chosen without looking at how well they turned out.

    The findings take turns, and each gives its images in the order of their pseudonyms, which is random.
    """
    by_name: dict[str, list[Place]] = {}
    for place in sorted(places, key=lambda place: (place.name, place.image_id)):
        by_name.setdefault(place.name, []).append(place)
    turns = [(turn, name) for name, group in by_name.items() for turn in range(len(group))]
    return [by_name[name][turn] for turn, name in sorted(turns)][:count]


def extreme_places(places: Sequence[Place], dice_N: Sequence[float]) -> list[tuple[Place, str]]:
    """The best, the median and the worst places by Dice, `COLUMNS` of each, with the word and the figure.

    Of equal Dice the first by finding and image comes first; a place is shown once. Empty where Dice is not known.
    """
    order = sorted(
        (number for number, dice in enumerate(dice_N) if np.isfinite(dice)),
        key=lambda number: (-dice_N[number], places[number].name, places[number].image_id),
    )
    if len(order) < 3 * COLUMNS:
        return []
    middle = (len(order) - COLUMNS) // 2
    parts = {"best": order[:COLUMNS], "median": order[middle : middle + COLUMNS], "worst": order[-COLUMNS:]}
    return [(places[number], f"{word}: Dice {dice_N[number]:.2f}") for word, part in parts.items() for number in part]


def _draw_overlay(
    axes: Axes, image_SS: npt.NDArray[np.uint8], map_SS: npt.NDArray[np.float32], place: Place, words: str
) -> None:
    size = len(image_SS)
    extent = (0, size, size, 0)
    axes.imshow(image_SS, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="bilinear")
    axes.imshow(map_SS, cmap="inferno", vmin=0, vmax=1, alpha=0.6 * map_SS**2, extent=extent, interpolation="bilinear")
    for x, y, width, height in place.boxes:
        axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="lime", linewidth=1.2))
    axes.set(xlim=(0, size), ylim=(size, 0), xticks=[], yticks=[])
    axes.set_title(f"{place.name}, {words}", fontsize=8, pad=3)


def draw_overlays(
    chosen: Sequence[tuple[Place, str]],
    image_of: Callable[[Place], npt.NDArray[np.uint8]],
    map_of: Callable[[Place], npt.NDArray[np.float32]],
    path: Path,
) -> None:
    """A sheet of test images with the map of a finding's query, the true box, and words beside the finding's name."""
    if not chosen:
        return
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(1.8 * columns, 1.98 * rows + 0.2), dpi=100, layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (place, words) in zip(grid.flat, chosen, strict=False):
        _draw_overlay(axes, image_of(place), map_of(place), place, words)
    figure.supxlabel("Green: where it is. Warm: where the model looks, scaled within each image.", fontsize=8)
    _save(figure, path, COLOURS)
