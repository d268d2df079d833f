"""Figures of zero-shot diagnosis against one kind of truth. Axes: N images, C classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from components.core.metrics.classification import (
    Cases,
    apart,
    auroc_figures,
    decision_figures,
    declared,
    ranking_figures,
    reliability_curves,
)
from components.core.metrics.estimate import PatientBootstrap
from components.core.params import ZeroShot
from components.zero_shot.predict import ClassAnswers
from components.zero_shot.subgroups import by_subgroup
from components.zero_shot.truth import PRESENT, UNKNOWN, Truth


@dataclass(frozen=True)
class Judged:
    """A kind of truth with the answers in its classes, for the images of a manifest, in its order."""

    images: pd.DataFrame
    truth: Truth
    answers: ClassAnswers

    def __post_init__(self) -> None:
        assert self.truth.names == self.answers.names
        assert len(self.images) == len(self.truth.truth_NC) == len(self.answers.score_NC)

    def cases(self, split: str) -> Cases:
        """The images of one split."""
        inside_N = (self.images["split"] == split).to_numpy()
        patients = tuple(self.images["patient_id"][inside_N])
        return Cases(self.truth.names, patients, self.truth.truth_NC[inside_N], self.answers.score_NC[inside_N])

    def declared(self, params: ZeroShot) -> tuple[str, ...]:
        """The classes of the macro figures: enough positives and negatives in the test split."""
        return declared(self.cases("test"), params.min_positives)


def figures_of(judged: Judged, params: ZeroShot) -> dict[str, Any]:
    """Every figure of one kind of truth on the test split, thresholds from the validation split."""
    test, validation = judged.cases("test"), judged.cases("validate")
    names = judged.declared(params)
    bootstrap = PatientBootstrap(test.patients, params.bootstrap, params.seed)
    inside = judged.images[judged.images["split"] == "test"]
    return {
        "truth": judged.truth.kind,
        "declared": list(names),
        "too_few": apart(test, names),
        **ranking_figures(test, names, bootstrap),
        **decision_figures(test, validation, names, bootstrap),
        "reliability": reliability_curves(test, names),
        "subgroups": by_subgroup(inside, test.selected(names), params),
    }


def by_severity(judged: Judged, params: ZeroShot) -> dict[str, Any]:
    """AUROC of findings of each grade alone against the images without that finding.

    The declared classes are those of the headline; within a grade a class needs as many positives as there.
    """
    test = judged.cases("test")
    inside_N = (judged.images["split"] == "test").to_numpy()
    grade_NC, severity_NC = judged.truth.grade_NC[inside_N], judged.truth.severity_NC[inside_N]
    grades = sorted(set(grade_NC.ravel()) - {""}, key=lambda grade: np.nanmin(severity_NC[grade_NC == grade]))
    bootstrap = PatientBootstrap(test.patients, params.bootstrap, params.seed)
    result: dict[str, Any] = {}
    for grade in grades:
        drawn_NC = np.isfinite(severity_NC)
        truth_NC = np.where(grade_NC == grade, PRESENT, np.where(drawn_NC, UNKNOWN, test.truth_NC)).astype(np.int8)
        cases = Cases(test.names, test.patients, truth_NC, test.score_NC).selected(judged.declared(params))
        names = declared(cases, params.min_positives)
        result[str(grade)] = {"auroc": auroc_figures(cases, names, bootstrap), "too_few": apart(cases, names)}
    return result
