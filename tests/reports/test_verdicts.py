"""What counts where a report says a thing in several ways."""

import pytest

from components.reports.reading import read
from components.reports.verdicts import verdicts

EDEMA = ("edema", "pulmonary")
CONTRADICTIONS = {
    "denied in the findings, asserted in the impression": ("FINDINGS: No edema.\nIMPRESSION: Edema.", "present"),
    "asserted in the findings, denied in the impression": ("FINDINGS: Edema.\nIMPRESSION: No edema.", "present"),
    "doubted in the findings, denied in the impression": (
        "FINDINGS: Possible edema.\nIMPRESSION: No edema.",
        "absent",
    ),
    "denied in the findings, doubted in the impression": (
        "FINDINGS: No edema.\nIMPRESSION: Edema cannot be excluded.",
        "uncertain",
    ),
    "whichever section comes first": ("IMPRESSION: No edema.\nFINDINGS: Possible edema.", "absent"),
    "denied and doubted in one section": ("FINDINGS: No edema. Edema is not excluded.", "uncertain"),
    "the other way round": ("FINDINGS: Edema is not excluded. No edema.", "uncertain"),
    "doubted in an addendum": ("IMPRESSION: No edema.\nADDENDUM: Possible edema.", "uncertain"),
    "without headings": ("No edema. Possible edema.", "uncertain"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions(name: str) -> None:
    text, expected = CONTRADICTIONS[name]
    assert verdicts(read(text).findings)[EDEMA] == expected
