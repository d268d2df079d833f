"""The labelled images of a dataset, and the subsets that a share of its patients gives. Axes: N images, C classes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.records.tables import read_table
from components.core.records.views import FRONTAL

UNKNOWN = -1


@dataclass(frozen=True)
class Labelled:
    """Frontal images of a dataset that have a label.

    Attributes:
        images: their rows of the manifest.
        classes: the dataset's own classes, in alphabetical order.
        truth_NC: int8, 1 present, 0 absent, -1 not labelled.
    """

    images: pd.DataFrame
    classes: tuple[str, ...]
    truth_NC: npt.NDArray[np.int8]

    def where(self, chosen_N: npt.NDArray[np.bool_]) -> "Labelled":
        """Some of the images."""
        return Labelled(self.images[chosen_N].reset_index(drop=True), self.classes, self.truth_NC[chosen_N])

    def split(self, name: str) -> "Labelled":
        """The images of one split."""
        return self.where((self.images["split"] == name).to_numpy())

    def __len__(self) -> int:
        return len(self.images)


def read_labelled(folder: Path) -> Labelled:
    """Read the images that have at least one label.

    Raises:
        ValueError: a table is missing, there is no label, or a split holds no labelled image.
    """
    manifest = read_table(folder / "manifest.parquet", "manifest")
    annotations = read_table(folder / "annotations.parquet", "annotations")
    labels = annotations[(annotations["kind"] == "label") & (annotations["value"] != UNKNOWN)]
    if labels.empty:
        raise ValueError(f"{folder} holds no labels of its own: finetune.tasks needs datasets that have some")
    table = labels.pivot_table(index="image_id", columns="name", values="value", aggfunc="max").sort_index(axis=1)
    images = manifest[manifest["view"].isin(FRONTAL) & manifest["image_id"].isin(table.index)].reset_index(drop=True)
    truth_NC = table.reindex(images["image_id"]).fillna(UNKNOWN).to_numpy().astype(np.int8)
    labelled = Labelled(images, tuple(map(str, table.columns)), truth_NC)
    for split in ("train", "validate", "test"):
        if not len(labelled.split(split)):
            raise ValueError(f"{folder}: the split {split} has no labelled frontal image, at least one is needed")
    return labelled


def fraction(patient_id: str, seed: int) -> float:
    """A number in [0, 1) that belongs to the patient for good: a share of the patients is those below it."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()[:8], "big") / 2**64


def subset_patients(patients: Sequence[str], share: float, seed: int) -> tuple[str, ...]:
    """The patients of a share: subsets nest, and a growing archive takes nobody out of one."""
    return tuple(sorted(name for name in set(patients) if fraction(name, seed) < share))


def subset(train: Labelled, share: float, seed: int) -> Labelled:
    """The training images of a share of the labelled patients.

    Raises:
        ValueError: a class has no positive or no negative among them.
    """
    patients = subset_patients(train.images["patient_id"].tolist(), share, seed)
    chosen = train.where(train.images["patient_id"].isin(patients).to_numpy())
    for column, name in enumerate(train.classes):
        truth_N = chosen.truth_NC[:, column]
        if not ((truth_N == 1).any() and (truth_N == 0).any()):
            raise ValueError(
                f"the share {share:g} holds {len(patients)} patients and no positive or no negative of {name!r}: "
                "raise the smallest of finetune.shares"
            )
    return chosen
