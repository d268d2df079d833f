"""A report's text into sections and sentences, by offsets; no character is changed or lost."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from components.reports.lexicon import Lexicon

EVIDENCE = ("findings", "impression", "addendum")

# A sentence ends at a full stop before a space, at a list mark, at a blank line; never at a mere line break.
BOUNDARY = re.compile(
    r"[.!?;]+(?=\s|$|(?<=[a-z][.])[A-Z])"
    r"|\n[ \t\r]*(?:\n\s*)+"
    r"|\n\s*(?=(?:[-*•]|\(?\d{1,2}[.)])\s)"
    r"|(?<!\S)\(?\d{1,2}[.)](?=\s+[A-Z_])"
)
LAST_WORD = re.compile(r"\S+$")
BLANK_LINE = re.compile(r"\n[ \t\r]*\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a report, in characters, under the name of its section."""

    name: str
    start: int
    end: int


@cache
def _heading_pattern(headings: frozenset[str]) -> re.Pattern[str]:
    words = "|".join(
        r"[ \t]+".join(map(re.escape, heading.split())) for heading in sorted(headings, key=lambda h: (-len(h), h))
    )
    # Before a colon anywhere a sentence may begin, or alone on a line; "CHEST, TWO VIEWS:" is a heading in capitals.
    known = rf"(?P<known>(?i:{words}))(?:\(s\))?[ \t*]*(?::|(?=[ \t\r]*\n)(?<=\w))"
    other = r"(?<![^\n])(?P<other>[A-Z][A-Z0-9 ,/()&-]{2,80}):"
    return re.compile(rf"(?:^|(?<=[.!?;:\n])[ \t\n\r]*|\n\s*)[ \t*#]*(?:{known}|{other})")


def _merge(spans: list[Span], text: str) -> Iterator[Span]:
    """Only spans that hold more than white space."""
    for span in spans:
        if text[span.start : span.end].strip(" \t\r\n:._-"):
            yield span


def sections(text: str, lexicon: Lexicon) -> list[Span]:
    """The parts of a report that are evidence, in order.

    Findings, impression and addenda are read where there are such headings. Without a findings heading the text under
    unknown headings, before any heading, and after the first paragraph of a section that is not evidence is read too.
    """
    marks = list(_heading_pattern(frozenset(lexicon.headings)).finditer(text))
    known = [lexicon.headings.get(" ".join((mark["known"] or "").lower().split())) for mark in marks]
    starts = [0, *(mark.end() for mark in marks)]
    ends = [*(mark.start() for mark in marks), len(text)]
    parts = [
        Span("text" if name is None else name, start, max(start, end))
        for name, start, end in zip([None, *known], starts, ends, strict=True)
    ]
    found = [part for part in _merge(parts, text) if part.name in EVIDENCE]
    if any(part.name == "findings" for part in found):
        return found
    loose: list[Span] = []
    for part in parts:
        if part.name == "":
            blank = BLANK_LINE.search(text, part.start, part.end)
            # The first paragraph of a section that is not evidence may begin after blank lines.
            while blank and not text[part.start : blank.start()].strip():
                blank = BLANK_LINE.search(text, blank.end(), part.end)
            if blank:
                loose.append(Span("text", blank.end(), part.end))
        else:
            loose.append(part)
    return list(_merge(loose, text))


def sentences(text: str, start: int, end: int, lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    """The sentences of a stretch of text as offsets, without the white space around them."""
    begin = start
    for mark in BOUNDARY.finditer(text, start, end):
        if text[mark.start()] == ".":
            word = LAST_WORD.search(text, max(begin, mark.start() - 12), mark.start())
            if word and word.group().lower().strip("(") in lexicon.abbreviations:
                continue
        yield from _trimmed(text, begin, mark.start())
        begin = mark.end()
    yield from _trimmed(text, begin, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    kept = piece.strip()
    if kept:
        left = start + piece.index(kept[0])
        yield left, left + len(kept)
