"""A report of any kind to its findings: what is odd about a text, and by which rule it is read all the same.

| what | rule |
| --- | --- |
| empty | a report without a letter says nothing |
| cut | what lies beyond LONGEST_REPORT characters is not read |
| control_characters | they are read as blanks |
| no_heading | without a heading that names evidence, all text is read that no other heading claims |
| another_language | a report of which too few words are known is not read: "sin edema" would be edema |

None is an error; each is counted.
"""

import re
from dataclasses import dataclass

from components.reports.lexicon import lexicon
from components.reports.mentions import lower
from components.reports.parser import Finding, parse_parts
from components.reports.text import EVIDENCE, Span, sections

NOTES = ("empty", "cut", "control_characters", "no_heading", "another_language")
LONGEST_REPORT = 200_000  # characters: many times the longest that a radiologist writes
JUDGED_CHARACTERS = 1000  # enough to tell a language
FEWEST_WORDS = 6  # a note of fewer words is too short to tell
KNOWN_SHARE = 0.55  # English reports lie above two thirds; other languages, which share the Latin terms, below a half

LETTERS = re.compile(r"[^\W\d_]+")
BLANKS = {code: " " for code in (*range(32), 127, *range(128, 160)) if chr(code) not in "\t\n\r\f\v\x85"}
CONTROL = re.compile(f"[{re.escape(''.join(map(chr, BLANKS)))}]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a report says.

    Attributes:
        findings: in the order of its text.
        unmatched: words that the lexicon does not know, each with the known phrase beside it.
        notes: which of NOTES hold.
        parts: the sections that were read.
    """

    findings: list[Finding]
    unmatched: frozenset[tuple[str, str]]
    notes: tuple[str, ...]
    parts: tuple[Span, ...] = ()


def is_english(text: str) -> bool:
    """Whether enough of the first words are known, or there are too few to tell."""
    words = LETTERS.findall(lower(text[:JUDGED_CHARACTERS]))
    # A script without blanks has few words; then the letters tell.
    if len(words) < FEWEST_WORDS:
        letters = "".join(words)
        return 2 * sum(map(str.isascii, letters)) >= len(letters)
    return sum(map(lexicon().words.__contains__, words)) >= KNOWN_SHARE * len(words)


def read(text: str, parts: list[Span] | None = None) -> Reading:
    """Read a report; any text is accepted.

    Args:
        text: the report.
        parts: its sections, where something else than its headings tells them.
    """
    notes = ["cut"] if len(text) > LONGEST_REPORT else []
    text = text[:LONGEST_REPORT]
    if CONTROL.search(text):
        notes.append("control_characters")
        text = text.translate(BLANKS)
    if not LETTERS.search(text):
        return Reading([], frozenset(), ("empty", *notes))
    if parts is None:
        parts = sections(text, lexicon())
        if not any(part.name in EVIDENCE for part in parts):
            notes.append("no_heading")
    if not is_english(text):
        return Reading([], frozenset(), (*notes, "another_language"))
    findings, unmatched = parse_parts(text, parts)
    return Reading(findings, unmatched, tuple(notes), tuple(parts))
