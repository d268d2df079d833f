"""Parse the reports of the pretraining dataset into findings and the label tensor.

Reads the inventory and the reports it names, or what RadGraph read in them (`reports.source`); writes `data/findings`:
findings.parquet (never the text itself), labels.npz (a study without findings is listed too), unmatched.parquet (words
that the lexicon may lack) and rejected.parquet (studies whose report is missing, unreadable, empty or not English).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
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
from components.reports.table import Parsed, StudyReport, parse_all, read_radgraph
from components.reports.verdicts import VERDICTS, strength

VALUES = {"present": PRESENT, "absent": ABSENT, "uncertain": UNCERTAIN}
MOST_UNMATCHED = 200  # rows: what a person looks through


def run(params: Params, _: str) -> dict[str, Any]:
    """Fill `data/findings`; returns the stage's figures.

    Raises:
        ValueError: the inventory is missing, the dataset's root is not a folder, or no report can be read.
    """
    name = params.pretrain.dataset
    inventory = read_table(paths.inventory_table(name), "inventory")
    reports, rejected = listed_reports(inventory)
    tables, read = [FINDINGS.empty_table()], []
    notes: Counter[str] = Counter()
    words = Unmatched(inventory, params.reports.min_patients)
    for parsed in parsed_chunks(reports, params):
        tables.append(parsed.findings)
        read.extend(parsed.read)
        rejected.extend(parsed.refused)
        notes.update(parsed.notes)
        words.add(parsed.unmatched)
    if not read:
        raise ValueError(f"the archive at {params.datasets[name].root} holds no report that can be read")
    findings = pa.concat_tables(tables).to_pandas()
    labels = study_labels(read, findings)
    with whole_folder(paths.FINDINGS) as folder:
        write_table(folder / "findings.parquet", findings, "findings")
        labels.write(folder / "labels.npz")
        write_table(folder / "unmatched.parquet", words.rows(), "unmatched")
        write_table(folder / "rejected.parquet", rejected_rows(rejected), "rejected")
    return figures(read, rejected, findings, labels) | {"notes": dict(notes)}


def parsed_chunks(reports: list[StudyReport], params: Params) -> Iterator[Parsed]:
    """What the source of `reports.source` reads in the reports."""
    dataset = params.datasets[params.pretrain.dataset]
    if params.reports.source == "parser":
        return parse_all(reports, dataset, worker_count())
    assert params.reports.radgraph is not None, "params.py refuses it"
    return read_radgraph(reports, dataset, Path(params.reports.radgraph))


class Unmatched:
    """Counts the words that the lexicon lacks, and forgets no patient who makes one common enough to be shown."""

    def __init__(self, inventory: pd.DataFrame, min_patients: int) -> None:
        self.patient = dict(zip(inventory["study_id"], inventory["patient_id"], strict=True))
        self.min_patients = min_patients
        self.reports: Counter[str] = Counter()
        self.beside: dict[str, Counter[str]] = {}
        self.patients: dict[str, set[str]] = {}

    def add(self, unmatched: Iterable[tuple[str, frozenset[tuple[str, str]]]]) -> None:
        """Count the words of reports."""
        for study, pairs in unmatched:
            self.reports.update({word for word, _ in pairs})
            for word, phrase in pairs:
                self.beside.setdefault(word, Counter())[phrase] += 1
                patients = self.patients.setdefault(word, set())
                if len(patients) < self.min_patients:
                    patients.add(self.patient[study])

    def rows(self) -> list[dict[str, Any]]:
        """The most frequent ones that enough patients have, in order."""
        common = [word for word in self.reports if len(self.patients[word]) >= self.min_patients]
        common.sort(key=lambda word: (-self.reports[word], word))
        return [
            {
                "word": word,
                "beside": min(self.beside[word], key=lambda phrase: (-self.beside[word][phrase], phrase)),
                "reports": self.reports[word],
            }
            for word in common[:MOST_UNMATCHED]
        ]


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


def _ranks(findings: pd.DataFrame) -> pd.Series:
    """How much each statement weighs (see `verdicts.strength`)."""
    kinds = list(zip(findings["presence"], findings["section"], strict=True))
    known = {kind: strength(*kind) for kind in set(kinds)}
    return pd.Series([known[kind] for kind in kinds], findings.index, np.int64)


def study_labels(studies: list[str], findings: pd.DataFrame) -> StudyLabels:
    """The label of every cell that a study's report mentions; `verdicts` decides where it is said in several ways."""
    position = {study: index for index, study in enumerate(studies)}
    columns_M3 = np.stack(
        [
            findings["study_id"].map(position).to_numpy(np.int64),
            findings["anatomy"].map(ANATOMY_INDEX).to_numpy(np.int64),
            findings["pathology"].map(PATHOLOGY_INDEX).to_numpy(np.int64),
        ],
        axis=1,
    )
    shape = (len(studies), len(ANATOMIES), len(PATHOLOGIES))
    keys, inverse_M = np.unique(np.ravel_multi_index(columns_M3.T, shape), return_inverse=True)
    strongest = np.zeros(len(keys), np.int64)
    np.maximum.at(strongest, inverse_M, _ranks(findings).to_numpy())
    values = np.array([VALUES[verdict] for verdict in VERDICTS], np.int8)[strongest]
    return StudyLabels(tuple(studies), np.stack(np.unravel_index(keys, shape), axis=1).astype(np.int32), values)


def conflicts(findings: pd.DataFrame) -> dict[str, int]:
    """How many cells are both denied and asserted, or both denied and doubted, in one report."""
    cell = ["study_id", "anatomy", "pathology"]
    said = findings[[*cell, "presence"]].drop_duplicates()
    denied = said.loc[said["presence"] == "absent", cell]
    return {
        name: len(denied.merge(said.loc[said["presence"] == presence, cell]))
        for name, presence in (("denied_and_asserted", "present"), ("denied_and_doubted", "uncertain"))
    }


def figures(
    read: list[str], rejected: list[tuple[str, str]], findings: pd.DataFrame, labels: StudyLabels
) -> dict[str, Any]:
    """What the reports say, in numbers; a pathology counts once a study, by its weightiest statement."""
    mentions = findings.drop_duplicates(["study_id", "sentence", "start", "pathology", "presence"])
    strongest = _ranks(findings).groupby([findings["study_id"], findings["pathology"]]).max()
    verdict = strongest.map(dict(enumerate(VERDICTS))).astype("object")
    counted = verdict.groupby("pathology").value_counts()
    by_pathology = {
        pathology: {name: int(counted.get((pathology, name), 0)) for name in VALUES}
        for pathology in PATHOLOGIES
        if pathology in set(findings["pathology"])
    }
    return {
        "reports": len(read),
        "rejected": len(rejected),
        "mentions": {name: int((mentions["presence"] == name).sum()) for name in VALUES},
        "cells": {name: int((labels.values == value).sum()) for name, value in VALUES.items()},
        "conflicts": conflicts(findings),
        "share_without_findings": round(1 - findings["study_id"].nunique() / len(read), 6),
        "studies": by_pathology,
    }
