"""What a report says of a pathology at a place when it says it in several ways: the one rule.

A presence wins, wherever it stands. Between a denial and a doubt the later section wins (findings, then impression,
then addendum), and within a section the doubt: "no effusion is seen, but one cannot be excluded" leaves it open. The
order of sentences never matters.
"""

from collections.abc import Iterable

from components.reports.parser import Finding

SECTIONS = ("findings", "impression", "addendum")  # as they are written; text without a heading counts as findings
VERDICTS = ("absent", "uncertain") * len(SECTIONS) + ("present",)  # from weakest to strongest


def strength(presence: str, section: str) -> int:
    """How much a statement weighs; the heaviest decides, and VERDICTS says what it was."""
    if presence == "present":
        return len(VERDICTS) - 1
    place = SECTIONS.index(section) if section in SECTIONS else 0
    return 2 * place + (presence == "uncertain")


def verdicts(findings: Iterable[Finding]) -> dict[tuple[str, str], str]:
    """The presence of every (pathology, anatomy) that is said."""
    strongest: dict[tuple[str, str], int] = {}
    for finding in findings:
        pair = (finding.pathology, finding.anatomy)
        strongest[pair] = max(strongest.get(pair, 0), strength(finding.presence, finding.section))
    return {pair: VERDICTS[rank] for pair, rank in strongest.items()}
