"""Predictions as a table: one row for each image and class. Axes: N images, C classes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

SHARED = ["image_id", "patient_id", "split", "view", "sex", "age_band", "scanner", "origin"]


def prediction_rows(
    images: pd.DataFrame,
    names: Sequence[str],
    truth_kind: str,
    truth_NC: npt.NDArray[np.int8],
    score_NC: npt.NDArray[np.float64],
    severity_NC: npt.NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """The rows that the schema of predictions wants.

    Args:
        images: rows of the manifest, length N.
        names: the classes, length C.
        truth_kind: drawn, report or label.
        truth_NC: 1, 0, or -1 unknown.
        score_NC: probabilities.
        severity_NC: of drawn truth.
    """
    assert truth_NC.shape == score_NC.shape == (len(images), len(names))
    places = np.repeat(np.arange(len(images)), len(names))
    return images[SHARED].iloc[places].reset_index(drop=True).assign(
        name=list(names) * len(images),
        truth_kind=truth_kind,
        truth=truth_NC.ravel(),
        severity=np.nan if severity_NC is None else severity_NC.ravel(),
        score=score_NC.ravel(),
    )  # fmt: skip
