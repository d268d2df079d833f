"""Figures within groups of patients or images: by sex, age band, view, scanner and collection."""

from typing import Any

import pandas as pd

from components.core.metrics.classification import Cases, auroc_figures, declared, undefined
from components.core.metrics.estimate import PatientBootstrap
from components.core.params import ZeroShot

GROUPINGS = ("sex", "age_band", "view", "scanner", "origin")
NOT_TOLD = "not_told"


def _figure(cases: Cases, params: ZeroShot) -> dict[str, Any]:
    """The macro AUROC over the classes that are frequent enough in the group, with its counts."""
    names, patients = declared(cases, params.min_positives), len(set(cases.patients))
    counts = {"images": len(cases.patients), "patients": patients, "classes": list(names)}
    if not names:
        least = params.min_positives
        return {
            **undefined(f"no class has positives of {least} patients and negatives of {least} in the group"),
            **counts,
        }
    bootstrap = PatientBootstrap(cases.patients, params.bootstrap, params.seed)
    return {**auroc_figures(cases, names, bootstrap)["macro"], **counts}


def by_subgroup(images: pd.DataFrame, cases: Cases, params: ZeroShot) -> dict[str, dict[str, Any]]:
    """Macro AUROC in each group of each grouping that the table has.

    Groups are compared with care: a group's macro is over its own frequent classes, which stand beside it. Images of
    which the table does not tell their group are one of their own, so that the counts add up.

    Args:
        images: rows of the manifest, in the order of the cases.
        cases: the declared classes on those images.
        params: bootstrap, seed and the fewest positives.
    """
    result: dict[str, dict[str, Any]] = {}
    for grouping in GROUPINGS:
        if images[grouping].notna().any():
            column = images[grouping].fillna(NOT_TOLD)
            result[grouping] = {
                str(group): _figure(cases.rows((column == group).to_numpy()), params)
                for group in sorted(column.unique(), key=lambda group: (group == NOT_TOLD, group))
            }
    return result
