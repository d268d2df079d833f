"""What the cells of a grid say of the same patients, as figures with their resamples.

A grid's folder holds `grid.json` and, for every cell and seed that is done, `<cell>/<seed>/` with the predictions and
the figures of its stages as they lie in a workspace. Axes: N images, C classes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.core.comparison.table import FigureKind
from components.core.metrics.estimate import Estimate, PatientBootstrap, mean_estimate
from components.core.metrics.ranking import auroc_estimate
from components.core.records.tables import read_table
from components.core.records.whole import read_json

SAMPLES, SEED = 1000, 7
PRETRAINED, SCRATCH = "pretrained", "scratch"


@dataclass(frozen=True)
class Figure:
    """One figure of one cell and seed.

    Attributes:
        kind: its name, and what it is the mean of.
        cell: whose it is: the cell's, or that of a start which no pretraining enters, such as scratch.
        estimate: with resamples that depend on the set of patients only, so that cells are paired.
        patients: how many.
    """

    kind: FigureKind
    cell: str
    estimate: Estimate
    patients: int


def macro_auroc(table: pd.DataFrame, names: list[str]) -> tuple[Estimate, int]:
    """The mean AUROC over classes on the patients of a table of predictions, and how many these are."""
    images = table.drop_duplicates("image_id").sort_values("image_id")
    bootstrap = PatientBootstrap(images["patient_id"].tolist(), SAMPLES, SEED)
    truth_NC = table.pivot_table(index="image_id", columns="name", values="truth").loc[images["image_id"], names]
    score_NC = table.pivot_table(index="image_id", columns="name", values="score").loc[images["image_id"], names]
    estimates = [
        auroc_estimate(truth_NC[name].to_numpy(np.int8), score_NC[name].to_numpy(np.float64), bootstrap)
        for name in names
    ]
    return Estimate.mean(estimates), int(images["patient_id"].nunique())


def mean_over_rows(table: pd.DataFrame, column: str) -> tuple[Estimate, int] | None:
    """The mean of a column of places or masks, None where it is null everywhere."""
    known = table.dropna(subset=[column]).sort_values("image_id")
    if known.empty:
        return None
    bootstrap = PatientBootstrap(known["patient_id"].tolist(), SAMPLES, SEED)
    return mean_estimate(known[column].to_numpy(np.float64), bootstrap), int(known["patient_id"].nunique())


def shared_classes(folders: Iterable[Path]) -> dict[str, list[str]]:
    """The classes of each dataset that zero_shot declared in every cell: only on these are cells compared."""
    shared: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted((folder / "metrics/zero_shot").glob("*.json")):
            declared = read_json(path)["declared"]
            shared[path.stem] = [name for name in shared.get(path.stem, declared) if name in declared]
    return shared


def zero_shot_figures(folder: Path, cell: str, classes: dict[str, list[str]]) -> Iterator[Figure]:
    """Macro AUROC of each dataset over the given classes; pointing game and Dice of their places where it has some.

    Raises:
        ValueError: a file is missing or of another version.
    """
    for place in sorted((folder / "predictions/zero_shot").glob("*")):
        truth, names = read_json(folder / f"metrics/zero_shot/{place.name}.json")["truth"], classes[place.name]
        if not names:
            continue
        table = read_table(place / "predictions.parquet", "predictions")
        test = table[(table["split"] == "test") & (table["truth_kind"] == truth)]
        kind = FigureKind(name=f"zero_shot {place.name} macro AUROC", over=f"{len(names)} classes, {truth} truth")
        yield Figure(kind, cell, *macro_auroc(test, names))
        if (place / "places.parquet").is_file():
            places = read_table(place / "places.parquet", "places")
            places = places[places["name"].isin(names)]
            for name, column in (("pointing game", "hit"), ("Dice", "dice")):
                kind = FigureKind(name=f"zero_shot {place.name} {name}", over=f"{len(places)} places of findings")
                estimated = mean_over_rows(places, column)
                if estimated is not None:
                    yield Figure(kind, cell, *estimated)


def _fewest_patients(of_name: pd.DataFrame) -> int:
    """The patients with a positive, or those with a negative, whichever are fewer: as the stage counts them."""
    return min(int(of_name.loc[of_name["truth"] == value, "patient_id"].nunique()) for value in (0, 1))


def finetune_figures(folder: Path, cell: str) -> Iterator[Figure]:
    """Macro AUROC, or Dice, of every task at every share, from the cell's trunk and from scratch, a cell of its own.

    Raises:
        ValueError: a file is missing or of another version.
    """
    at_least = read_json(folder / "cell.json")["finetune"]["min_positives"]
    for path in sorted((folder / "predictions/finetune").glob("*/*.parquet")):
        start, _, share = path.stem.partition("_")
        if start not in (PRETRAINED, SCRATCH):
            continue
        task, whose = path.parent.name, cell if start == PRETRAINED else SCRATCH
        name = f"finetune {task} {share.replace('_percent', ' %').replace('_', '.')}"
        if "score" not in pd.read_parquet(path).columns:
            table = read_table(path, "segmentations")
            estimated = mean_over_rows(table[table["split"] == "test"], "dice")
            if estimated is not None:
                yield Figure(FigureKind(name=f"{name} Dice", over="images with a mask"), whose, *estimated)
            continue
        table = read_table(path, "predictions")
        test = table[table["split"] == "test"]
        names = [str(name) for name, of_name in test.groupby("name") if _fewest_patients(of_name) >= at_least]
        if names:
            kind = FigureKind(name=f"{name} macro AUROC", over=f"{len(names)} classes")
            yield Figure(kind, whose, *macro_auroc(test, names))


def figures_of(folder: Path, cell: str, classes: dict[str, list[str]]) -> list[Figure]:
    """Every figure of one cell and seed, zero-shot over the given classes of each dataset."""
    return [*zero_shot_figures(folder, cell, classes), *finetune_figures(folder, cell)]
