"""What counts as truth: what the phantom drew, what the report says, how the dataset labels.

Axes: N images, C classes, A anatomies, P pathologies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.records.labels import NOT_MENTIONED, UNCERTAIN, StudyLabels
from components.core.records.tables import read_table
from components.core.vocabulary import PATHOLOGY_INDEX

ABSENT, PRESENT, UNKNOWN = 0, 1, -1


@dataclass(frozen=True)
class Truth:
    """One kind of truth of the images of a manifest, in its order.

    Attributes:
        kind: drawn, report or label.
        names: the classes, length C.
        truth_NC: int8, 1 present, 0 absent, -1 unknown or excluded.
        severity_NC: the largest severity drawn, nan where nothing was drawn or the truth is another.
        grade_NC: the name of that severity, an empty string where there is none.
    """

    kind: str
    names: tuple[str, ...]
    truth_NC: npt.NDArray[np.int8]
    severity_NC: npt.NDArray[np.float64]
    grade_NC: npt.NDArray[np.str_]

    @classmethod
    def plain(cls, kind: str, names: Sequence[str], truth_NC: npt.NDArray[np.int8]) -> "Truth":
        """A truth without severities."""
        return cls(
            kind, tuple(names), truth_NC, np.full(truth_NC.shape, np.nan), np.full(truth_NC.shape, "", dtype="<U16")
        )


@dataclass(frozen=True)
class Drawn:
    """What the phantom drew in the images of a manifest.

    Attributes:
        findings: the rows of the drawn truth whose image is in the manifest, with its `image_id` and `affine`.
        image_ids: the images that the phantom is known to have drawn, with or without findings.
    """

    findings: pd.DataFrame
    image_ids: frozenset[str]


def read_drawn(folder: Path, manifest: pd.DataFrame) -> Drawn | None:
    """Find the manifest's images among the phantoms by the digest of their files; None if none of them is drawn.

    Every archive's folder below the truth is searched: a dataset may have another name than its archive.
    """
    known = manifest[["source_sha256", "image_id", "affine"]]
    findings, image_ids = [], set()
    for images in sorted(folder.glob("*/images.parquet")):
        drawn_images = read_table(images, "drawn_images")[["source_sha256"]].merge(known, on="source_sha256")
        if len(drawn_images):
            image_ids |= set(drawn_images["image_id"])
            findings.append(read_table(images.with_name("drawn.parquet"), "drawn").merge(known, on="source_sha256"))
    return Drawn(pd.concat(findings, ignore_index=True), frozenset(image_ids)) if image_ids else None


def drawn_truth(drawn: Drawn, image_ids: Sequence[str], names: Sequence[str], min_severity: float) -> Truth:
    """Present where a finding of at least the severity was drawn, unknown where only a lesser one was, else absent.

    An image that the phantom did not draw is unknown.
    """
    row_of = {name: row for row, name in enumerate(image_ids)}
    column_of = {name: column for column, name in enumerate(names)}
    severity_NC = np.full((len(row_of), len(column_of)), np.nan)
    grade_NC = np.full(severity_NC.shape, "", dtype="<U16")
    findings = drawn.findings
    for image_id, name, severity, grade in zip(
        findings["image_id"], findings["pathology"], findings["severity"], findings["grade"], strict=True
    ):
        if image_id in row_of and name in column_of:
            place = row_of[image_id], column_of[name]
            if not severity_NC[place] >= severity:
                severity_NC[place], grade_NC[place] = severity, grade
    truth_NC = np.where(np.isnan(severity_NC), ABSENT, np.where(severity_NC >= min_severity, PRESENT, UNKNOWN))
    truth_NC[[row for name, row in row_of.items() if name not in drawn.image_ids]] = UNKNOWN
    return Truth("drawn", tuple(names), truth_NC.astype(np.int8), severity_NC, grade_NC)


def existence(labels_BAP: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Whether a study has each pathology anywhere, [B, P]: 1 before 0 before -1; uncertain mentions do not count."""
    return np.where(labels_BAP == UNCERTAIN, NOT_MENTIONED, labels_BAP).max(axis=1)


def report_truth(labels: StudyLabels, study_ids: Sequence[str], names: Sequence[str]) -> Truth:
    """What the report of each image's study says; -1 where it does not mention a pathology or there is no report."""
    columns = [PATHOLOGY_INDEX[name] for name in names]
    truth_NC = np.full((len(study_ids), len(names)), UNKNOWN, np.int8)
    with_report = set(labels.study_ids)
    rows = [row for row, study in enumerate(study_ids) if study in with_report]
    truth_NC[rows] = existence(labels.dense([study_ids[row] for row in rows]))[:, columns]
    return Truth.plain("report", names, truth_NC)


def label_truth(annotations: pd.DataFrame, image_ids: Sequence[str], names: Sequence[str]) -> Truth:
    """The dataset's own labels; -1 where an image has none."""
    labels = annotations[(annotations["kind"] == "label") & annotations["name"].isin(names)]
    table = labels.pivot_table(index="image_id", columns="name", values="value", aggfunc="max")
    table = table.reindex(index=list(image_ids), columns=list(names)).fillna(UNKNOWN)
    return Truth.plain("label", names, table.to_numpy().astype(np.int8))
