"""What the reports say, in the Data Docs and the figures."""

import re

import numpy as np
import pandas as pd

from components.core.records.labels import ABSENT, PRESENT, UNCERTAIN, StudyLabels
from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX
from components.quality.prevalence import prevalence
from tests.quality.test_gate import INDEX

NO_WORDS = pd.DataFrame({"word": [], "beside": [], "reports": []})


def labels_of(*cells: tuple[int, str, str, int], studies: int) -> StudyLabels:
    places = [(study, ANATOMY_INDEX[anatomy], PATHOLOGY_INDEX[pathology]) for study, pathology, anatomy, _ in cells]
    values = np.array([value for *_, value in cells], np.int8)
    names = tuple(f"{number:024x}" for number in range(studies))
    return StudyLabels(names, np.array(places, np.int32).reshape(-1, 3), values)


def test_shares_are_of_all_reports_and_a_presence_outweighs() -> None:
    labels = labels_of(
        (0, "effusion", "left_pleural", PRESENT),
        (0, "effusion", "right_pleural", ABSENT),
        (1, "effusion", "pleural_unspec", ABSENT),
        (2, "edema", "pulmonary", UNCERTAIN),
        studies=4,
    )
    said = prevalence(labels, NO_WORDS)
    assert (said.reports, said.without_findings) == (4, 0.25)
    assert said.pathologies == {
        "effusion": {"absent": 0.25, "uncertain": 0.0, "present": 0.25},
        "edema": {"absent": 0.0, "uncertain": 0.25, "present": 0.0},
    }
    assert said.anatomies["left_pleural"] == {"absent": 0.0, "uncertain": 0.0, "present": 0.25}
    assert set(said.anatomies) == {"left_pleural", "right_pleural", "pleural_unspec", "pulmonary"}


def test_no_report_says_nothing() -> None:
    assert prevalence(labels_of(studies=3), NO_WORDS).pathologies == {}
    assert prevalence(labels_of(studies=3), NO_WORDS).without_findings == 1.0


def test_the_docs_show_prevalence_and_the_words_that_the_lexicon_lacks(tables, check):
    tables.unmatched += [
        {"word": "wispy", "beside": "opacity", "reports": 30},
        {"word": "<b>", "beside": "effusion", "reports": 20},
    ]
    figures = check(tables)
    page = (INDEX.parent / "prevalence.html").read_text("utf-8")
    rows = [re.sub(r"</?t[rd]>", " ", row).split() for row in re.findall(r"<tr><td>.*?</tr>", page)]
    assert ["pleural", "effusion", "100.0%", "0.0%", "0.0%"] in rows
    assert ["left", "pleura", "100.0%", "0.0%", "0.0%"] in rows
    assert ["wispy", "opacity", "30"] in rows
    assert "&lt;b&gt;" in page
    assert figures["share_without_findings"] == 0.0
