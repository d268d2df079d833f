"""The cells of a grid against its reference cell: paired over patients and seeds."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from components.core.comparison.cells import SCRATCH, SEED, Figure, figures_of, shared_classes
from components.core.comparison.table import Archive, Comparison, FigureKind, MadeOn, Row
from components.core.metrics.estimate import DECIMALS, Estimate, over_seeds
from components.core.paths import is_synthetic
from components.core.records.tables import read_table
from components.core.records.whole import read_json

LEAST, MOST = 0.0, 1.0  # of every figure that is compared: AUROC, Dice, IoU, a share of hits
ByFigure = dict[tuple[str, str], dict[int, Figure]]  # (figure, cell) → seed → figure


def archive_of(images: Path, root: str) -> Archive:
    """What is said of an archive, from its shards' manifest and its root."""
    manifest = read_table(images / "manifest.parquet", "manifest")
    return Archive(
        digest=hashlib.sha256((images / "manifest.parquet").read_bytes()).hexdigest(),
        studies=int(manifest["study_id"].nunique()),
        images=len(manifest),
        synthetic=is_synthetic(root),
    )


def read_figures(folder: Path, cells: list[str], seeds: list[int]) -> ByFigure:
    """The figures of every cell and seed that is done.

    `scratch` stands beside every cell, and is the same there: the first that has it speaks for it.
    """
    done = [(cell, seed) for cell in cells for seed in seeds if (folder / cell / str(seed)).is_dir()]
    classes = shared_classes(folder / cell / str(seed) for cell, seed in done)
    found: ByFigure = {}
    for cell, seed in done:
        for figure in figures_of(folder / cell / str(seed), cell, classes):
            found.setdefault((figure.kind.name, figure.cell), {}).setdefault(seed, figure)
    return found


def row_of(name: str, cell: str, figures: dict[int, Figure], reference: dict[int, Figure]) -> Row:
    """A cell in one figure and its difference to the reference, over the seeds that both have."""
    seeds = sorted(figures.keys() & reference.keys())
    mine = over_seeds([figures[seed].estimate for seed in seeds], SEED)
    gain = over_seeds([figures[seed].estimate - reference[seed].estimate for seed in seeds], SEED)
    # Scaled up for few seeds, resamples may pass the ends of the figure's range, where nothing can be.
    interval = Estimate(mine.value, np.clip(mine.samples_R, LEAST, MOST)).figure()
    gained = gain.figure()
    low, high = gained["low"], gained["high"]
    return Row(
        cell=cell,
        figure=name,
        value=round(mine.value, DECIMALS),
        low=interval["low"],
        high=interval["high"],
        difference=round(gain.value, DECIMALS),
        difference_low=low,
        difference_high=high,
        differs=low is not None and high is not None and (low > 0 or high < 0),
        patients=min(figures[seed].patients for seed in seeds),
        seeds=len(seeds),
    )


def compared(folder: Path, images: Path) -> Comparison:
    """The comparison of a grid, as far as it has come.

    Args:
        folder: of the grid (see `components.core.comparison.cells`).
        images: `data/images` of a workspace of the grid.

    Raises:
        ValueError: nothing is there to compare, or a file is missing or of another version.
    """
    grid: dict[str, Any] = read_json(folder / "grid.json")
    found = read_figures(folder, grid["cells"], grid["seeds"])
    reference = grid["reference"]
    kinds: dict[str, FigureKind] = {}
    for (name, cell), figures in found.items():
        if cell == reference:
            kinds[name] = next(iter(figures.values())).kind
    if not kinds:
        raise ValueError(f"{folder}: the reference cell {reference} is not done yet: there is nothing to compare")
    rows = [
        row_of(name, cell, found[name, cell], found[name, reference])
        for name in kinds
        for cell in [reference, *(cell for cell in [*grid["cells"], SCRATCH] if cell != reference)]
        if (name, cell) in found and found[name, cell].keys() & found[name, reference].keys()
    ]
    datasets = read_json(next((folder / reference).glob("*/cell.json")))["datasets"]
    archives = {
        place.name: archive_of(place, datasets[place.name]["root"])
        for place in sorted(images.iterdir())
        if place.is_dir()
    }
    return Comparison(
        name=grid["name"],
        made_on=MadeOn(revision=grid["revision"], archives=archives),
        seeds=tuple(grid["seeds"]),
        reference=reference,
        figures=tuple(kinds.values()),
        rows=tuple(rows),
    )
