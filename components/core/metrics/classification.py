"""Figures of many classes at once: each class, the macro mean over a declared list, and what stands apart.

Axes: N images, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.metrics.decisions import best_f1_threshold, calibration_error, f1_and_accuracy
from components.core.metrics.estimate import Estimate, PatientBootstrap, rounded
from components.core.metrics.ranking import auroc_estimate, average_precision_estimate


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

    def column(self, name: str) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        """Truth and score of a class, each [N]."""
        index = self.names.index(name)
        return self.truth_NC[:, index], self.score_NC[:, index]

    def selected(self, names: Sequence[str]) -> "Cases":
        """The same images with some of the classes."""
        places = [self.names.index(name) for name in names]
        return Cases(tuple(names), self.patients, self.truth_NC[:, places], self.score_NC[:, places])


def declared(cases: Cases, at_least: int) -> tuple[str, ...]:
    """The classes that enter macro figures: those with at least so many positives, and as many negatives."""
    return tuple(name for name in cases.names if min(cases.counts(name).values()) >= at_least)


def figures(cases: Cases, names: Sequence[str], estimate_of: Callable[[str], Estimate | None]) -> dict[str, Any]:
    """One figure for each class with its counts, and the macro mean: `{"macro", "per_class"}`.

    The macro is null where no class has the figure; a class without it is null too.
    """
    estimates = {name: estimate_of(name) for name in names}
    known = [estimate for estimate in estimates.values() if estimate is not None]
    undefined = {"value": None, "low": None, "high": None}
    return {
        "macro": Estimate.mean(known).figure() if known else undefined,
        "per_class": {
            name: {**(estimate.figure() if estimate is not None else undefined), **cases.counts(name)}
            for name, estimate in estimates.items()
        },
    }


def auroc_figures(cases: Cases, names: Sequence[str], bootstrap: PatientBootstrap) -> dict[str, Any]:
    """AUROC of the named classes."""
    return figures(cases, names, lambda name: auroc_estimate(*cases.column(name), bootstrap))


def ranking_figures(cases: Cases, names: Sequence[str], bootstrap: PatientBootstrap) -> dict[str, Any]:
    """The figures of the named classes that need no threshold: AUROC, average precision, calibration error."""
    return {
        "auroc": auroc_figures(cases, names, bootstrap),
        "average_precision": figures(
            cases, names, lambda name: average_precision_estimate(*cases.column(name), bootstrap)
        ),
        "calibration_error": figures(cases, names, lambda name: calibration_error(*cases.column(name), bootstrap)),
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
    return {
        "f1": figures(test, names, lambda name: pairs[name][0] if name in pairs else None),
        "accuracy": figures(test, names, lambda name: pairs[name][1] if name in pairs else None),
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


def apart(cases: Cases, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """The classes that are not among the named, with their counts: too few to enter a figure."""
    return {name: cases.counts(name) for name in cases.names if name not in names}
