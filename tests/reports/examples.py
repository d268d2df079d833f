"""How the tables of examples are written: "+effusion@left_pleural -edema@pulmonary ?pneumonia@pulmonary"."""

from components.reports.reading import read

SIGNS = {"present": "+", "absent": "-", "uncertain": "?"}


def said(text: str) -> set[str]:
    """What a report says, in the short form of the tables."""
    return {f"{SIGNS[finding.presence]}{finding.pathology}@{finding.anatomy}" for finding in read(text).findings}
