"""The tables of an ingested dataset as an evaluation wants them: what would spoil it is refused here, too."""

from pathlib import Path

import numpy as np
import pandas as pd

from components.core.records.tables import read_table
from components.core.records.views import FRONTAL

LABEL_VALUES = (-1, 0, 1)


def read_manifest(folder: Path) -> pd.DataFrame:
    """The images of a dataset.

    Raises:
        ValueError: the table is missing or damaged, names an image twice or without a patient, or a patient is in
            several splits.
    """
    path = folder / "manifest.parquet"
    manifest = read_table(path, "manifest")
    if manifest["image_id"].duplicated().any():
        raise ValueError(f"{path} names an image twice: run ingest again")
    if manifest["patient_id"].isna().any():
        raise ValueError(f"{path} has an image without a patient: run ingest again")
    split_between = int((manifest.groupby("patient_id")["split"].nunique() > 1).sum())
    if split_between:
        raise ValueError(
            f"{path}: {split_between} patients are in several splits, so that a test would be worth nothing"
        )
    return manifest


def read_annotations(folder: Path) -> pd.DataFrame:
    """The labels, boxes and masks of a dataset.

    Raises:
        ValueError: the table is missing or damaged, or has a label that is none of -1, 0 and 1, a box that is not
            finite, or a mask without pixels.
    """
    path = folder / "annotations.parquet"
    annotations = read_table(path, "annotations")
    kind = annotations["kind"]
    if not annotations.loc[kind == "label", "value"].isin(LABEL_VALUES).all():
        raise ValueError(f"{path} has a label that is none of -1, 0 and 1: run ingest again")
    boxes = annotations.loc[kind == "box", ["x", "y", "width", "height"]].to_numpy(np.float64)
    if not np.isfinite(boxes).all():
        raise ValueError(f"{path} has a box that is not finite: run ingest again")
    if annotations.loc[kind == "mask", "mask_png"].isna().any():
        raise ValueError(f"{path} has a mask without pixels: run ingest again")
    return annotations


def left_out_of(manifest: pd.DataFrame, annotations: pd.DataFrame) -> dict[str, int]:
    """How many images an evaluation leaves out: those of other views, and those that only the annotations know."""
    annotated = annotations["image_id"].drop_duplicates()
    return {
        "not_frontal": int((~manifest["view"].isin(FRONTAL)).sum()),
        "annotated_but_not_there": int((~annotated.isin(manifest["image_id"])).sum()),
    }
