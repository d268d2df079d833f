"""Figures of many classes at once: each class, the macro mean over a declared list, and what stands apart.

Axes: N images, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.metrics.decisions import (
    best_f1_threshold,
    brier_score,
    calibration_error,
    f1_and_accuracy,
    reliability,
)
from components.core.metrics.estimate import Estimate, PatientBootstrap, rounded
from components.core.metrics.ranking import auroc_estimate, average_precision_estimate

NO_CLASS = "no class has enough positives and negatives for a figure"


@dataclass(frozen=True)
class Cases:
    """Images of one split with the truth and the score of every class.

    Attributes:
        names: the classes, length C.
        patients: the patient of every image, length N.
        truth_NC: int8, 1 present, 0 absent, -1 unknown.
        score_NC: probabilities.
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    truth_NC: npt.NDArray[np.int8]
    score_NC: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        assert self.truth_NC.shape == self.score_NC.shape == (len(self.patients), len(self.names))

    def counts(self, name: str) -> dict[str, int]:
        """How many positives and negatives a class has."""
        truth_N = self.truth_NC[:, self.names.index(name)]
        return {"positives": int((truth_N == 1).sum()), "negatives": int((truth_N == 0).sum())}

    def fewest_patients(self, name: str) -> int:
        """The patients with a positive of a class, or those with a negative, whichever are fewer."""
        truth_N = self.truth_NC[:, self.names.index(name)]
        return min(
            len({patient for patient, truth in zip(self.patients, truth_N, strict=True) if truth == value})
            for value in (0, 1)
        )

    def column(self, name: str) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        """Truth and score of a class, each [N]."""
        index = self.names.index(name)
        return self.truth_NC[:, index], self.score_NC[:, index]

    def selected(self, names: Sequence[str]) -> "Cases":
        """The same images with some of the classes."""
        places = [self.names.index(name) for name in names]
        return Cases(tuple(names), self.patients, self.truth_NC[:, places], self.score_NC[:, places])

    def rows(self, inside_N: npt.NDArray[np.bool_]) -> "Cases":
        """The same classes of some of the images."""
        patients = tuple(patient for patient, inside in zip(self.patients, inside_N, strict=True) if inside)
        return Cases(self.names, patients, self.truth_NC[inside_N], self.score_NC[inside_N])


def undefined(why: str) -> dict[str, Any]:
    """A figure that is missing, and why; never a 0."""
    return {"value": None, "low": None, "high": None, "why": why}


def declared(cases: Cases, at_least: int) -> tuple[str, ...]:
    """The classes that enter macro figures: those with positives of at least so many patients, and as many negatives.

    Patients count, not images: on many images of a few the bootstrap over patients has nothing to draw from.
    """
    return tuple(name for name in cases.names if cases.fewest_patients(name) >= at_least)


def figures(
    cases: Cases, names: Sequence[str], estimate_of: Callable[[str], Estimate | None], why: str = ""
) -> dict[str, Any]:
    """One figure for each class with its counts, and the macro mean with how many classes it is of.

    A class without the figure is null, and says `why`; so is the macro where no class has it.
    """
    estimates = {name: estimate_of(name) for name in names}
    known = [estimate for estimate in estimates.values() if estimate is not None]
    macro = Estimate.mean(known).figure() if known else undefined(why if names else NO_CLASS)
    return {
        "macro": {**macro, "classes": len(known)},
        "per_class": {
            name: {**(estimate.figure() if estimate is not None else undefined(why)), **cases.counts(name)}
            for name, estimate in estimates.items()
        },
    }


def auroc_figures(cases: Cases, names: Sequence[str], bootstrap: PatientBootstrap) -> dict[str, Any]:
    """AUROC of the named classes."""
    return figures(cases, names, lambda name: auroc_estimate(*cases.column(name), bootstrap))


def ranking_figures(cases: Cases, names: Sequence[str], bootstrap: PatientBootstrap) -> dict[str, Any]:
    """The figures of the named classes that need no threshold: AUROC, average precision, calibration, Brier."""
    return {
        "auroc": auroc_figures(cases, names, bootstrap),
        "average_precision": figures(
            cases, names, lambda name: average_precision_estimate(*cases.column(name), bootstrap)
        ),
        "calibration_error": figures(cases, names, lambda name: calibration_error(*cases.column(name), bootstrap)),
        "brier_score": figures(cases, names, lambda name: brier_score(*cases.column(name), bootstrap)),
    }


def reliability_curves(cases: Cases, names: Sequence[str]) -> dict[str, Any]:
    """The reliability curve of the named classes together, and of each (see `reliability`)."""
    chosen = cases.selected(names)
    return {
        "pooled": reliability(chosen.truth_NC.ravel(), chosen.score_NC.ravel()),
        "per_class": {name: reliability(*chosen.column(name)) for name in names},
    }


def decision_figures(
    test: Cases, validation: Cases, names: Sequence[str], bootstrap: PatientBootstrap
) -> dict[str, Any]:
    """F1 and accuracy on the test split at thresholds that see the validation split only.

    A class without positives or negatives among the validation patients has no threshold, and its figures are null.
    """
    thresholds = {name: best_f1_threshold(*validation.column(name)) for name in names}
    pairs = {
        name: f1_and_accuracy(*test.column(name), threshold, bootstrap)
        for name, threshold in thresholds.items()
        if threshold is not None
    }
    why = "the validation patients lack positives or negatives, so that there is no threshold"
    return {
        "f1": figures(test, names, lambda name: pairs[name][0] if name in pairs else None, why),
        "accuracy": figures(test, names, lambda name: pairs[name][1] if name in pairs else None, why),
        "thresholds": {
            "source": "largest F1 on validation patients",
            "per_class": {
                name: {
                    "value": None if threshold is None else rounded(threshold),
                    **validation.counts(name),
                }
                for name, threshold in thresholds.items()
            },
        },
    }


def apart(cases: Cases, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The classes that are not among the named, with their counts, and why: few, or none at all."""
    return {
        name: {**cases.counts(name), "why": _why_apart(**cases.counts(name))}
        for name in cases.names
        if name not in names
    }


def _why_apart(positives: int, negatives: int) -> str:
    absent = [word for word, count in (("positives", positives), ("negatives", negatives)) if count == 0]
    return f"the split has no {' and no '.join(absent)}" if absent else "too few for a figure"
