"""Figures at a threshold, and the threshold itself, which is chosen on validation patients only.

Truth is 1, 0 or -1 (unknown, left out). Axes: N images, B bins, R resamples.
"""

import numpy as np
from sklearn.metrics import precision_recall_curve

from components.core.metrics.estimate import DECIMALS, Estimate, Floats, PatientBootstrap, mean_estimate, ratio
from components.core.metrics.ranking import Truth

BINS = 10


def best_f1_threshold(truth_N: Truth, score_N: Floats) -> float | None:
    """The score at and above which calling a finding gives the largest F1; null where a class is missing.

    Of equally good thresholds the highest is taken, cut to the decimals of a metrics file: cut, not rounded, so that
    the score that set it is still at or above it.
    """
    known_N = truth_N >= 0
    if len(np.unique(truth_N[known_N])) < 2:
        return None
    precision_T, recall_T, thresholds_T = precision_recall_curve(truth_N[known_N], score_N[known_N])
    f1_T = np.nan_to_num(ratio(2 * precision_T * recall_T, precision_T + recall_T))[:-1]
    best = float(thresholds_T[np.flatnonzero(f1_T == f1_T.max())[-1]])
    return float(np.floor(best * 10**DECIMALS) / 10**DECIMALS)


def f1_and_accuracy(
    truth_N: Truth, score_N: Floats, threshold: float, bootstrap: PatientBootstrap
) -> tuple[Estimate, Estimate]:
    """F1 and accuracy of calling every score at or above the threshold, with their resamples."""
    called_N, known_N = score_N >= threshold, truth_N >= 0
    columns_NK = np.stack(
        [called_N & (truth_N == 1), known_N & (called_N != (truth_N == 1)), known_N & (called_N == (truth_N == 1))],
        axis=1,
    ).astype(np.float64)
    sums_RK = np.concatenate([columns_NK.sum(0, keepdims=True), bootstrap.sums(columns_NK)])
    hits_R, wrong_R, right_R = sums_RK.T
    f1_R = ratio(2 * hits_R, 2 * hits_R + wrong_R)
    accuracy_R = ratio(right_R, right_R + wrong_R)
    return Estimate(float(f1_R[0]), f1_R[1:]), Estimate(float(accuracy_R[0]), accuracy_R[1:])


def _bin_of(score_N: Floats) -> np.ndarray:
    return np.clip((score_N * BINS).astype(np.intp), 0, BINS - 1)


def calibration_error(truth_N: Truth, score_N: Floats, bootstrap: PatientBootstrap) -> Estimate:
    """The expected calibration error over ten equally wide bins of probability, with its resamples.

    The mean distance, weighted by the images in a bin, between the mean probability and the share of positives
    (Guo et al., 2017, On Calibration of Modern Neural Networks, section 2).

    Chance alone makes distances, and a resample has more of it than the data: the resamples are shifted down by the
    bias that the bootstrap shows (Efron and Tibshirani, An Introduction to the Bootstrap, section 10.2), never below 0.
    """
    known_N = truth_N >= 0
    columns_NK = np.zeros((len(score_N), BINS + 1))
    columns_NK[np.arange(len(score_N)), _bin_of(score_N)] = np.where(known_N, score_N - truth_N, 0.0)
    columns_NK[:, BINS] = known_N
    sums_RK = np.concatenate([columns_NK.sum(0, keepdims=True), bootstrap.sums(columns_NK)])
    error_R = ratio(np.abs(sums_RK[:, :BINS]).sum(1), sums_RK[:, BINS])
    bias = np.nanmean(error_R[1:]) - error_R[0] if np.isfinite(error_R[1:]).any() else 0.0
    return Estimate(float(error_R[0]), np.maximum(error_R[1:] - bias, 0.0))


def brier_score(truth_N: Truth, score_N: Floats, bootstrap: PatientBootstrap) -> Estimate:
    """The mean squared distance between probability and truth, with its resamples (Brier, 1950)."""
    return mean_estimate(np.where(truth_N >= 0, np.square(score_N - truth_N), np.nan), bootstrap)


def reliability(truth_N: Truth, score_N: Floats) -> list[dict[str, float]]:
    """The reliability curve: for every bin that holds images, its mean probability, share of positives, and count."""
    known_N = truth_N >= 0
    bin_N = _bin_of(score_N)
    rows = []
    for number in range(BINS):
        inside_N = known_N & (bin_N == number)
        if inside_N.any():
            rows.append(
                {
                    "probability": round(float(score_N[inside_N].mean()), 6),
                    "positives": round(float((truth_N[inside_N] == 1).mean()), 6),
                    "count": int(inside_N.sum()),
                }
            )
    return rows
