"""Which parts of a report are evidence."""

import pytest

from components.reports.lexicon import lexicon
from components.reports.reading import read
from components.reports.text import sections

PARTS = {
    "findings and impression": (
        "FINDINGS: Lungs are clear.\nIMPRESSION: Normal.",
        [("findings", "Lungs are clear."), ("impression", "Normal.")],
    ),
    "any case, on one line, another order": (
        "Impression: Small effusion. Findings: Blunted angle.",
        [("impression", "Small effusion."), ("findings", "Blunted angle.")],
    ),
    "headings alone on their lines": (
        "Findings\nThe heart is large.\n\nIMPRESSION\nCardiomegaly.",
        [("findings", "The heart is large."), ("impression", "Cardiomegaly.")],
    ),
    "what was asked and what was there before is no evidence": (
        "HISTORY: pneumonia\nCOMPARISON: large effusion in May.\nTECHNIQUE: AP.\nFINDINGS: Clear lungs.",
        [("findings", "Clear lungs.")],
    ),
    "no heading at all": ("The lungs are clear.", [("text", "The lungs are clear.")]),
    "the paragraph after the indication, where there is no findings heading": (
        "FINAL REPORT\n INDICATION: Fever.\n\n The lungs are clear.\n\n IMPRESSION: Normal.",
        [("text", "The lungs are clear."), ("impression", "Normal.")],
    ),
    "an unknown heading in capitals": (
        "HISTORY: Cough.\n\nCHEST, TWO VIEWS: Clear lungs.\n\nIMPRESSION: Normal.",
        [("text", "Clear lungs."), ("impression", "Normal.")],
    ),
    "headings within the findings": (
        "FINDINGS:\nLUNGS: Clear.\nPLEURA: No effusion.\nIMPRESSION: Normal.",
        [("findings", "LUNGS: Clear.\nPLEURA: No effusion."), ("impression", "Normal.")],
    ),
    "an addendum": (
        "FINDINGS: Clear.\nADDENDUM: There is a nodule.",
        [("findings", "Clear."), ("addendum", "There is a nodule.")],
    ),
    "several reports in one text": (
        "FINDINGS: Clear.\nHISTORY: Pain.\nFINDINGS: Effusion.",
        [("findings", "Clear."), ("findings", "Effusion.")],
    ),
    "both in one": ("FINDINGS/IMPRESSION:\nSmall effusion.", [("findings", "Small effusion.")]),
    "numbered addenda": (
        "ADDENDUM #2: A nodule.\nFINDINGS: Clear.",
        [("addendum", "A nodule."), ("findings", "Clear.")],
    ),
    "a wet read": ("WET READ: Small effusion.\nHISTORY: Cough.", [("findings", "Small effusion.")]),
    "nothing but what was asked and a line after it": (
        "HISTORY: Cough.\nTwo views show clear lungs.",
        [("text", "Two views show clear lungs.")],
    ),
    "headings before a dash": (
        "Clinical indication - cough, pneumonia\nFindings - clear lungs.\nImpression - no pneumonia",
        [("findings", "clear lungs."), ("impression", "no pneumonia")],
    ),
    "other names of what was asked": (
        "HX: pneumonia\nREASON FOR THIS EXAM: edema\nPRIOR EXAMS: effusion\nFINDINGS: Clear.\nPLAN: CT for nodule.",
        [("findings", "Clear.")],
    ),
    "an empty section": ("FINDINGS:\n\nIMPRESSION: Normal.", [("impression", "Normal.")]),
}


@pytest.mark.parametrize("name", PARTS)
def test_the_parts_that_are_read(name: str) -> None:
    text, expected = PARTS[name]
    found = [(part.name, text[part.start : part.end].strip()) for part in sections(text, lexicon())]
    assert found == expected


def test_a_finding_knows_its_section_and_sentence() -> None:
    text = "FINDINGS: Clear lungs. Small left effusion.\nIMPRESSION: Left effusion."
    effusions = [finding for finding in read(text).findings if finding.pathology == "effusion"]
    assert [(finding.section, finding.sentence) for finding in effusions] == [("findings", 1), ("impression", 2)]
    assert [text[finding.start : finding.end] for finding in effusions] == ["effusion", "effusion"]


def test_what_is_asked_is_not_found() -> None:
    assert read("INDICATION: Pneumonia? Effusion?\nCOMPARISON: Large right effusion.").findings == []
