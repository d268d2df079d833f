"""Parse the reports of the pretraining dataset into findings and the label tensor.

Reads the inventory and the reports it names; writes `data/findings`: findings.parquet (never the text itself),
labels.npz (a study without findings is listed too) and rejected.parquet (studies whose report is missing, unreadable
or empty).
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from components.core import paths
from components.core.params import Params
from components.core.records.labels import ABSENT, PRESENT, UNCERTAIN, StudyLabels
from components.core.records.tables import FINDINGS, REASONS, read_table, write_table
from components.core.records.whole import whole_folder
from components.core.vocabulary import ANATOMIES, ANATOMY_INDEX, PATHOLOGIES, PATHOLOGY_INDEX
from components.core.workers import worker_count
from components.reports.table import StudyReport, parse_all

# From weakest to strongest: of a cell that is said in several ways the strongest counts.
STRENGTH = {"uncertain": UNCERTAIN, "absent": ABSENT, "present": PRESENT}


def run(params: Params, _: str) -> dict[str, Any]:
    """Fill `data/findings`; returns the stage's figures.

    Raises:
        ValueError: the inventory is missing, the dataset's root is not a folder, or no report can be read.
    """
    name = params.pretrain.dataset
    reports, rejected = listed_reports(read_table(paths.inventory_table(name), "inventory"))
    tables, read = [FINDINGS.empty_table()], []
    for parsed in parse_all(reports, params.datasets[name], worker_count()):
        tables.append(parsed.findings)
        read.extend(parsed.read)
        rejected.extend(parsed.refused)
    if not read:
        raise ValueError(f"the archive at {params.datasets[name].root} holds no report that can be read")
    findings = pa.concat_tables(tables).to_pandas()
    labels = study_labels(read, findings)
    with whole_folder(paths.FINDINGS) as folder:
        write_table(folder / "findings.parquet", findings, "findings")
        labels.write(folder / "labels.npz")
        write_table(folder / "rejected.parquet", rejected_rows(rejected), "rejected")
    return figures(read, rejected, findings, labels)


def listed_reports(inventory: pd.DataFrame) -> tuple[list[StudyReport], list[tuple[str, str]]]:
    """Each study once, in the order of pseudonyms: those with a report's uri, and the others with the reason."""
    studies = inventory.drop_duplicates("study_id").sort_values("study_id")
    has_report = studies["report_uri"].notna()
    reports = list(studies.loc[has_report, ["study_id", "report_uri"]].itertuples(index=False, name=None))
    return reports, [(study, "report_missing") for study in studies.loc[~has_report, "study_id"]]


def rejected_rows(rejected: list[tuple[str, str]]) -> list[dict[str, str]]:
    """The rows of rejected.parquet, in the order of studies."""
    return [
        {"id": study, "kind": "report", "reason": reason, "message": REASONS[reason]}
        for study, reason in sorted(rejected)
    ]


def study_labels(studies: list[str], findings: pd.DataFrame) -> StudyLabels:
    """The label of every cell that a study's report mentions: any presence wins, then any absence."""
    position = {study: index for index, study in enumerate(studies)}
    columns_M3 = np.stack(
        [
            findings["study_id"].map(position).to_numpy(np.int64),
            findings["anatomy"].map(ANATOMY_INDEX).to_numpy(np.int64),
            findings["pathology"].map(PATHOLOGY_INDEX).to_numpy(np.int64),
        ],
        axis=1,
    )
    rank_M = findings["presence"].map({name: rank for rank, name in enumerate(STRENGTH)}).to_numpy(np.int64)
    shape = (len(studies), len(ANATOMIES), len(PATHOLOGIES))
    keys, inverse_M = np.unique(np.ravel_multi_index(columns_M3.T, shape), return_inverse=True)
    strongest = np.zeros(len(keys), np.int64)
    np.maximum.at(strongest, inverse_M, rank_M)
    values = np.array(list(STRENGTH.values()), np.int8)[strongest]
    return StudyLabels(tuple(studies), np.stack(np.unravel_index(keys, shape), axis=1).astype(np.int32), values)


def figures(
    read: list[str], rejected: list[tuple[str, str]], findings: pd.DataFrame, labels: StudyLabels
) -> dict[str, Any]:
    """What the reports say, in numbers; a pathology counts once a study, by its strongest presence."""
    mentions = findings.drop_duplicates(["study_id", "sentence", "start", "pathology", "presence"])
    ranks = findings["presence"].map({name: rank for rank, name in enumerate(STRENGTH)})
    strongest = ranks.groupby([findings["study_id"], findings["pathology"]]).max()
    counted = strongest.groupby("pathology").value_counts() if len(strongest) else pd.Series(dtype=np.int64)
    by_pathology = {
        pathology: {name: int(counted.get((pathology, rank), 0)) for rank, name in enumerate(STRENGTH)}
        for pathology in PATHOLOGIES
        if pathology in set(findings["pathology"])
    }
    return {
        "reports": len(read),
        "rejected": len(rejected),
        "mentions": {name: int((mentions["presence"] == name).sum()) for name in reversed(STRENGTH)},
        "cells": {name: int((labels.values == value).sum()) for name, value in reversed(STRENGTH.items())},
        "share_without_findings": round(1 - findings["study_id"].nunique() / len(read), 6),
        "studies": {name: dict(reversed(counts.items())) for name, counts in by_pathology.items()},
    }
