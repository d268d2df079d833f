"""Figures that need no threshold: area under the ROC curve and average precision.

The value comes from scikit-learn; the resamples come from one sort and weighted cumulative sums, for all at once.
Truth is 1, 0 or -1 (unknown, left out). Axes: N images, R resamples.
"""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from components.core.metrics.estimate import Estimate, Floats, PatientBootstrap, ratio

Truth = npt.NDArray[np.int8]


def auroc(truth_N: Truth, score_N: Floats) -> float:
    """The area under the ROC curve; nan where positives or negatives are missing."""
    known_N = truth_N >= 0
    if len(np.unique(truth_N[known_N])) < 2:
        return float("nan")
    return float(roc_auc_score(truth_N[known_N], score_N[known_N]))


def average_precision(truth_N: Truth, score_N: Floats) -> float:
    """The average precision (step-wise area under the precision-recall curve); nan without positives or negatives."""
    known_N = truth_N >= 0
    if len(np.unique(truth_N[known_N])) < 2:
        return float("nan")
    return float(average_precision_score(truth_N[known_N], score_N[known_N]))


def _sorted(mask_N: npt.NDArray[np.bool_], score_N: Floats) -> npt.NDArray[np.intp]:
    images = np.flatnonzero(mask_N)
    return images[np.argsort(score_N[images], kind="stable")]


def _running(weights_Rn: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Sums of the first 0, 1, … n weights, [R, n + 1]."""
    running = np.zeros((len(weights_Rn), weights_Rn.shape[1] + 1), np.int64)
    np.cumsum(weights_Rn, axis=1, out=running[:, 1:])
    return running


def auroc_estimate(truth_N: Truth, score_N: Floats, bootstrap: PatientBootstrap) -> Estimate:
    """The area under the ROC curve with its resamples.

    It is the chance that a positive outscores a negative, ties counting half: each positive looks up how much weight
    of negatives lies below it and level with it.
    """
    positives, negatives = _sorted(truth_N == 1, score_N), _sorted(truth_N == 0, score_N)
    below = np.searchsorted(score_N[negatives], score_N[positives], side="left")
    up_to = np.searchsorted(score_N[negatives], score_N[positives], side="right")
    samples_R = np.empty(bootstrap.samples)
    for block in bootstrap.blocks():
        weights_Rp = bootstrap.draws_RG[block][:, bootstrap.patient_N[positives]]
        running_Rn = _running(bootstrap.draws_RG[block][:, bootstrap.patient_N[negatives]])
        wins_R = (weights_Rp * (running_Rn[:, below] + running_Rn[:, up_to])).sum(1) / 2.0
        pairs_R = weights_Rp.sum(1, dtype=np.float64) * running_Rn[:, -1]
        samples_R[block] = ratio(wins_R, pairs_R)
    return Estimate(auroc(truth_N, score_N), samples_R)


def average_precision_estimate(truth_N: Truth, score_N: Floats, bootstrap: PatientBootstrap) -> Estimate:
    """The average precision with its resamples: the mean, over positives, of the precision at their score."""
    positives, negatives = _sorted(truth_N == 1, score_N), _sorted(truth_N == 0, score_N)
    first_positive = np.searchsorted(score_N[positives], score_N[positives], side="left")
    first_negative = np.searchsorted(score_N[negatives], score_N[positives], side="left")
    samples_R = np.empty(bootstrap.samples)
    for block in bootstrap.blocks():
        weights_Rp = bootstrap.draws_RG[block][:, bootstrap.patient_N[positives]]
        running_Rp = _running(weights_Rp)
        running_Rn = _running(bootstrap.draws_RG[block][:, bootstrap.patient_N[negatives]])
        true_Rp = (running_Rp[:, -1:] - running_Rp[:, first_positive]).astype(np.float64)
        false_Rp = (running_Rn[:, -1:] - running_Rn[:, first_negative]).astype(np.float64)
        precision_Rp = np.nan_to_num(ratio(true_Rp, true_Rp + false_Rp))
        averages_R = ratio((weights_Rp * precision_Rp).sum(1), running_Rp[:, -1].astype(np.float64))
        samples_R[block] = np.where(running_Rn[:, -1] > 0, averages_R, np.nan)
    return Estimate(average_precision(truth_N, score_N), samples_R)
