"""What the model is trained on: frontal images of a split, each with the label tensor of its study."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.records.labels import ABSENT, NOT_MENTIONED, PRESENT, UNCERTAIN, StudyLabels
from components.core.records.shards import ImageShards
from components.core.records.tables import read_table
from components.core.records.views import FRONTAL
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

MEANING_OF_UNCERTAIN = {"ignore": NOT_MENTIONED, "present": PRESENT, "absent": ABSENT, "soft": UNCERTAIN}


class Labels:
    """The label tensors of all studies, kept sparse; one is made dense when it is asked for.

    Args:
        labels: as the reports stage wrote them.
        uncertain: what an uncertain mention counts as: ignore, present, absent or soft.

    Raises:
        ValueError: a value is not 0, 1 or 2, a cell lies outside the tensor, or a study or a cell is listed twice.
    """

    def __init__(self, labels: StudyLabels, uncertain: str) -> None:
        limits = np.array([len(labels.study_ids), len(ANATOMIES), len(PATHOLOGIES)])
        if not np.isin(labels.values, (ABSENT, PRESENT, UNCERTAIN)).all():
            raise ValueError("the label tensor holds values other than 0, 1 and 2: run reports again")
        if ((labels.cells < 0) | (labels.cells >= limits)).any():
            raise ValueError("the label tensor holds cells of studies or terms that do not exist: run reports again")
        labels.refuse_repeats()
        order = np.lexsort((labels.cells[:, 2], labels.cells[:, 1], labels.cells[:, 0]))
        self.cells = labels.cells[order]
        self.values = np.where(labels.values == UNCERTAIN, MEANING_OF_UNCERTAIN[uncertain], labels.values)[order]
        self.starts = np.searchsorted(self.cells[:, 0], np.arange(len(labels.study_ids) + 1))
        self.position = {name: index for index, name in enumerate(labels.study_ids)}

    def __contains__(self, study_id: str) -> bool:
        return study_id in self.position

    def __getitem__(self, study_id: str) -> npt.NDArray[np.int8]:
        """The tensor M of a study, int8 [A, P]: 1 present, 0 absent, -1 not mentioned, 2 uncertain (soft)."""
        place = self.position[study_id]
        rows = slice(self.starts[place], self.starts[place + 1])
        labels_AP = np.full((len(ANATOMIES), len(PATHOLOGIES)), NOT_MENTIONED, np.int8)
        labels_AP[self.cells[rows, 1], self.cells[rows, 2]] = self.values[rows]
        return labels_AP

    def decided_in(self, studies: Iterable[str]) -> bool:
        """Whether any term is present or absent in these studies."""
        rows = np.isin(self.cells[:, 0], [self.position[study] for study in set(studies)])
        return bool(np.isin(self.values[rows], (ABSENT, PRESENT)).any())


@dataclass(frozen=True)
class Split:
    """The images of one split: the id of each, where it lies, and the study it belongs to."""

    images: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    studies: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class Examples:
    """Everything that is trained and validated on.

    Attributes:
        left_out: how many images of the two splits are not used, by reason.
    """

    shards: ImageShards
    labels: Labels
    train: Split
    validate: Split
    left_out: dict[str, int]


def _split(manifest: pd.DataFrame, name: str) -> Split:
    rows = manifest[manifest["split"] == name]
    places = tuple((int(shard), int(row)) for shard, row in zip(rows["shard"], rows["row"], strict=True))
    return Split(tuple(rows["image_id"]), places, tuple(rows["study_id"]))


def read_examples(images: Path, labels_file: Path, uncertain: str) -> Examples:
    """Bring images and labels together.

    Only frontal views are used, and only images whose study has labels.

    Raises:
        ValueError: a file is missing or of another version, shards and manifest disagree, a split is left without
            images, or the labels say nothing of the training split.
    """
    manifest = read_table(images / "manifest.parquet", "manifest")
    labels = Labels(StudyLabels.read(labels_file), uncertain)
    manifest = manifest[manifest["split"].isin(["train", "validate"])]
    frontal = manifest["view"].isin(FRONTAL)
    labelled = manifest["study_id"].map(lambda name: name in labels).astype(bool)
    used = manifest[frontal & labelled]
    left_out = {"not_frontal": int((~frontal).sum()), "without_labels": int((frontal & ~labelled).sum())}
    splits = {name: _split(used, name) for name in ("train", "validate")}
    for name, split in splits.items():
        if len(split) < 2:
            raise ValueError(
                f"{images}: the split {name} has {len(split)} frontal images with labels, at least 2 are needed "
                f"(left out: {left_out['not_frontal']} not frontal, {left_out['without_labels']} without labels)"
            )
    if not labels.decided_in(splits["train"].studies):
        raise ValueError(f"{labels_file} has nothing present and nothing absent in the split train of {images}")
    shards = ImageShards(images)
    _check_rows(shards, used)
    return Examples(shards, labels, splits["train"], splits["validate"], left_out)


def _check_rows(shards: ImageShards, manifest: pd.DataFrame) -> None:
    """Every row that the manifest names is in its shard."""
    for shard in sorted(set(manifest["shard"].tolist())):
        rows, count = manifest["row"][manifest["shard"] == shard], len(shards.open(shard))
        for row in (rows.min(), rows.max()):
            if not 0 <= row < count:
                raise ValueError(
                    f"{shards.folder}: the manifest names row {row} of shard {shard}, which has {count} rows"
                )


def term_counts(labels: Labels, split: Split) -> dict[str, dict[str, Any]]:
    """In how many studies of a split each pathology is present and absent, and the anatomies where it is present.

    What was never seen is not served: neither a finding nor a place for it.
    """
    counts: Counter[tuple[str, str]] = Counter()
    places_PA = np.zeros((len(PATHOLOGIES), len(ANATOMIES)), np.bool_)
    for study in sorted(set(split.studies)):
        known_AP = np.where(labels[study] == UNCERTAIN, NOT_MENTIONED, labels[study])
        places_PA |= known_AP.T == PRESENT
        for name, value in zip(PATHOLOGIES, known_AP.max(0), strict=True):
            counts[name, {PRESENT: "present", ABSENT: "absent"}.get(int(value), "not_mentioned")] += 1
    return {
        name: {
            "present": counts[name, "present"],
            "absent": counts[name, "absent"],
            "anatomies": [ANATOMIES[place] for place in np.flatnonzero(places_A)],
        }
        for name, places_A in zip(PATHOLOGIES, places_PA, strict=True)
    }
