"""What the reports say as a whole, for the eye: how often each finding and place, and words the parser may lack."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.core.records.labels import ABSENT, PRESENT, UNCERTAIN, StudyLabels
from components.core.vocabulary import ANATOMIES, DISPLAY, PATHOLOGIES

# From weakest to strongest: a report that has a finding at one place and denies it at another counts as having it.
STRENGTH = {"absent": ABSENT, "uncertain": UNCERTAIN, "present": PRESENT}
DIGITS = 6


@dataclass(frozen=True)
class Prevalence:
    """What the reports of a dataset say.

    Attributes:
        reports: how many were read.
        without_findings: the share that mentions nothing.
        pathologies, anatomies: by name, the share of the reports in which it is present, uncertain (and not present
            anywhere), absent; only those that are mentioned.
        unmatched: the rows of the schema unmatched.
    """

    reports: int
    without_findings: float
    pathologies: dict[str, dict[str, float]]
    anatomies: dict[str, dict[str, float]]
    unmatched: pd.DataFrame


def _shares(labels: StudyLabels, column: int, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """By the name of an axis of the labels (1 anatomies, 2 pathologies), the share of the reports by presence."""
    rank_of_value = np.zeros(max(STRENGTH.values()) + 1, np.int64)
    for rank, value in enumerate(STRENGTH.values()):
        rank_of_value[value] = rank
    said = pd.DataFrame(
        {"study": labels.cells[:, 0], "term": labels.cells[:, column], "rank": rank_of_value[labels.values]}
    )
    strongest = said.groupby(["term", "study"])["rank"].max()
    counts = strongest.groupby("term").value_counts().unstack(fill_value=0).reindex(columns=range(len(STRENGTH)))
    reports = max(len(labels.study_ids), 1)
    shares = (counts.fillna(0) / reports).round(DIGITS)
    return {
        names[int(str(term))]: {presence: float(row.iloc[rank]) for rank, presence in enumerate(STRENGTH)}
        for term, row in shares.iterrows()
    }


def prevalence(labels: StudyLabels, unmatched: pd.DataFrame) -> Prevalence:
    """Count what the label tensor says; a report without a finding has no cell in it."""
    reports = len(labels.study_ids)
    mentioning = len(np.unique(labels.cells[:, 0]))
    return Prevalence(
        reports=reports,
        without_findings=round(1 - mentioning / max(reports, 1), DIGITS),
        pathologies=_shares(labels, 2, PATHOLOGIES),
        anatomies=_shares(labels, 1, ANATOMIES),
        unmatched=unmatched,
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _shares_table(what: str, shares: dict[str, dict[str, float]]) -> str:
    presences = tuple(reversed(STRENGTH))
    ordered = sorted(shares.items(), key=lambda item: (-item[1]["present"], item[0]))
    rows = [(DISPLAY[name], *(f"{share[presence]:.1%}" for presence in presences)) for name, share in ordered]
    return _table((what, *presences), rows)


def body(said: Prevalence) -> str:
    """The page on it, for the Data Docs."""
    rows = said.unmatched.itertuples(index=False)
    words = [(str(row.word), str(row.beside), str(row.reports)) for row in rows]
    lacking = _table(("Word", "Beside", "Reports"), words) if words else "<p>No word is that frequent.</p>"
    return (
        f"<p>{said.reports} reports were read; {said.without_findings:.1%} of them mention no finding. Shares are of "
        "all reports; one that has a finding at one place and denies it at another counts as having it.</p>"
        f"<h2>Prevalence by pathology</h2>{_shares_table('Pathology', said.pathologies)}"
        f"<h2>Prevalence by anatomy</h2>{_shares_table('Anatomy', said.anatomies)}"
        "<h2>Words beside known ones that the lexicon lacks</h2><p>What names a finding or a place may be added to "
        "components/core/vocabulary/synonyms.yaml.</p>"
        f"{lacking}"
    )
