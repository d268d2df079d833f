"""The labelled images of a dataset, and the subsets that a share of its patients gives. Axes: N images, C classes.

A classification task takes the dataset's labels. A segmentation task takes its masks, and the pixels of its boxes where
an image has no mask; a label that says that the finding is absent is an empty mask. What neither tells is left out, and
counted under the reason.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.records.datasets import left_out_of, read_annotations, read_manifest
from components.core.records.shards import ImageShards
from components.core.records.views import FRONTAL
from components.finetune.outlines import Outline, oddities, outlines_of

UNKNOWN = -1
VALUES = {"positive": 1, "negative": 0}
OUTLINE_REASONS = ("mask_of_another_size", "outlined_but_labelled_absent", "present_without_outline", "without_label")
SPLITS = ("train", "validate", "test")


@dataclass(frozen=True)
class Labelled:
    """Frontal images of a dataset whose truth is known.

    Attributes:
        images: their rows of the manifest.
        classes: the dataset's own classes, in alphabetical order; one, the area, for a segmentation.
        truth_NC: int8, 1 present, 0 absent, -1 not labelled; for a segmentation whether the mask holds a pixel.
        outlines: what the mask of each image is drawn from; empty for a classification.
        left_out: how many images of the dataset are not among them, by the reason.
        oddities: of a segmentation, how many masks and boxes say less than they should (see `outlines.oddities`).
    """

    images: pd.DataFrame
    classes: tuple[str, ...]
    truth_NC: npt.NDArray[np.int8]
    outlines: tuple[Outline, ...]
    left_out: Mapping[str, int]
    oddities: Mapping[str, int] = field(default_factory=dict)

    def where(self, chosen_N: npt.NDArray[np.bool_]) -> "Labelled":
        """Some of the images."""
        images = self.images[chosen_N].reset_index(drop=True)
        outlines = tuple(self.outlines[place] for place in np.flatnonzero(chosen_N)) if self.outlines else ()
        return replace(self, images=images, truth_NC=self.truth_NC[chosen_N], outlines=outlines)

    def split(self, *names: str) -> "Labelled":
        """The images of some splits."""
        return self.where(self.images["split"].isin(names).to_numpy())

    def counts(self) -> dict[str, object]:
        """How many images and patients there are, and how many images show each class."""
        positives = {name: int((self.truth_NC[:, place] == 1).sum()) for place, name in enumerate(self.classes)}
        patients = int(self.images["patient_id"].nunique())
        return {"images": len(self), "patients": patients, "positives": positives}

    def __len__(self) -> int:
        return len(self.images)


def read_labelled(folder: Path, kind: str) -> Labelled:
    """Read the images whose truth is known to a task of this kind, classification or segmentation.

    Raises:
        ValueError: a table is missing, the dataset has no such truth, or a split holds none of it.
    """
    manifest, annotations = read_manifest(folder), read_annotations(folder)
    frontal = manifest[manifest["view"].isin(FRONTAL)].reset_index(drop=True)
    left_out = Counter(left_out_of(manifest, annotations))
    if kind == "classification":
        labelled = _with_labels(frontal, annotations, left_out)
    else:
        labelled = _with_outlines(frontal, annotations, left_out, ImageShards(folder))
    if not len(labelled):
        truth = "labels" if kind == "classification" else "masks or boxes"
        counts = {**labelled.left_out, **labelled.oddities}
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
        raise ValueError(
            f"{folder} holds no {truth} of its own{f' that can be used ({reasons})' if reasons else ''}: "
            f"a {kind} of finetune.tasks needs a dataset with them"
        )
    for split in SPLITS:
        if not len(labelled.split(split)):
            raise ValueError(f"{folder}: the split {split} has no labelled frontal image, at least one is needed")
    return labelled


def _label_table(annotations: pd.DataFrame) -> pd.DataFrame:
    """One row an image and one column a class: 1, 0, or nan where it is not labelled."""
    labels = annotations[(annotations["kind"] == "label") & (annotations["value"] != UNKNOWN)]
    return labels.pivot_table(index="image_id", columns="name", values="value", aggfunc="max").sort_index(axis=1)


def _with_labels(frontal: pd.DataFrame, annotations: pd.DataFrame, left_out: Counter[str]) -> Labelled:
    table = _label_table(annotations)
    known_N = frontal["image_id"].isin(table.index)
    left_out["without_label"] = int((~known_N).sum())
    images = frontal[known_N].reset_index(drop=True)
    truth_NC = table.reindex(images["image_id"]).fillna(UNKNOWN).to_numpy().astype(np.int8)
    return Labelled(images, tuple(map(str, table.columns)), truth_NC, (), dict(left_out))


def _with_outlines(
    frontal: pd.DataFrame, annotations: pd.DataFrame, left_out: Counter[str], shards: ImageShards
) -> Labelled:
    side = shards.open(0).shape[1] if len(frontal) else 0
    left_out.update(dict.fromkeys(OUTLINE_REASONS, 0))
    drawn, faults = outlines_of(annotations[annotations["image_id"].isin(frontal["image_id"])], side)
    if not drawn:
        reasons = dict(left_out + Counter(faults.values()))
        return Labelled(frontal[:0], (), np.zeros((0, 0), np.int8), (), reasons, oddities(annotations, side))
    present = _label_table(annotations).max(axis=1)
    kept, outlines = [], []
    for place, image in enumerate(frontal["image_id"]):
        outline = drawn.get(image)
        reason = faults.get(image) or _objection(outline is not None, present.get(image))
        if reason:
            left_out[reason] += 1
        else:
            kept.append(place)
            outlines.append(outline or Outline((), (), side))
    images = frontal.iloc[kept].reset_index(drop=True)
    truth_NC = np.array([[outline.shows_something] for outline in outlines], np.int8).reshape(-1, 1)
    names = annotations.loc[annotations["kind"].isin(["mask", "box"]), "name"]
    classes = (" or ".join(sorted(set(names))),)
    return Labelled(images, classes, truth_NC, tuple(outlines), dict(left_out), oddities(annotations, side))


def _objection(outlined: bool, label: float | None) -> str | None:
    """Why an image has no known mask, or None: its label and its outline must agree."""
    if outlined:
        return "outlined_but_labelled_absent" if label == 0 else None
    if label is None:
        return "without_label"
    return "present_without_outline" if label == 1 else None


def fraction(patient_id: str, seed: int) -> float:
    """A number in [0, 1) that belongs to the patient for good: a share of the patients is those below it."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()[:8], "big") / 2**64


def subset_patients(patients: Sequence[str], share: float, seed: int) -> tuple[str, ...]:
    """The patients of a share: subsets nest, and a growing archive takes nobody out of one."""
    return tuple(sorted(name for name in set(patients) if fraction(name, seed) < share))


def subset(train: Labelled, share: float, seed: int) -> Labelled:
    """The training images of a share of the labelled patients; there may be none."""
    patients = subset_patients(train.images["patient_id"].tolist(), share, seed)
    return train.where(train.images["patient_id"].isin(patients).to_numpy())


def missing_classes(train: Labelled, test: Labelled, least: int, needed: Sequence[str]) -> dict[str, str]:
    """The classes that get no figure, each with the reason: what cannot be learnt, or not be judged.

    Args:
        train: the images of a share.
        test: the images that are judged.
        least: of how many test patients a figure needs each.
        needed: what there must be of a class: positive, or positive and negative.
    """
    reasons: dict[str, str] = {}
    patients = train.images["patient_id"].nunique()
    for place, name in enumerate(train.classes):
        for word in needed:
            value = VALUES[word]
            found = int(test.images["patient_id"][test.truth_NC[:, place] == value].nunique())
            if not (train.truth_NC[:, place] == value).any():
                reasons.setdefault(name, f"no {word} image among the {patients} patients of the share")
            elif found < least:
                reasons.setdefault(name, f"{found} patients with a {word} image in the test split, {least} are needed")
    return reasons
