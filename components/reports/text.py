"""A report's text into sections and sentences, by offsets; no character is changed or lost."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from components.reports.lexicon import Lexicon

EVIDENCE = ("findings", "impression", "addendum")
TEXT, IGNORED = "text", ""  # where no heading says what it is; what is not evidence
LONGEST_SENTENCE = 1000  # characters: what is longer is cut at a space, so that no text takes more than linear time

# Every repetition is bounded: no text makes the search slow.
HEADING = re.compile(
    r"(?:\A|(?<=[.!?;:\n]))[ \t*#]{0,20}(?P<words>[A-Za-z][A-Za-z0-9 ,/()&#-]{1,80})[ \t*]{0,8}"
    r"(?:(?P<colon>:)|(?=\r?\n|\Z))"
)
# A sentence ends at a full stop before a space, at a list mark, at a blank line; never at a mere line break.
BOUNDARY = re.compile(
    r"[.!?;•]+(?!(?<=[?])[)])(?=[\s)\]\"'<>&]|$|(?<=[a-z][.])[A-Z])"
    r"|\n(?:[ \t\r]{0,80}\n)+"
    r"|\n[ \t]{0,80}(?=(?:[-*•]|\(?\d{1,2}[.)])\s)"
    r"|(?<!\S)\(?\d{1,2}[.)](?=\s{1,8}[A-Z_])"
)
DASHED = re.compile(r"(?:\A|(?<=\n))[ \t]{0,20}(?P<words>[A-Za-z][A-Za-z /]{1,40}?) - ")  # "Findings - clear"
NUMBER = re.compile(r" {0,3}#? ?\d{1,3}\Z")  # "addendum #2"
BEFORE_SENTENCE = " \t\r\n\f\v-*•"
LINE_END = re.compile(r"\n")
BLANK_LINE = re.compile(r"\n[ \t\r]{0,80}\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a report, in characters, under the name of its section."""

    name: str
    start: int
    end: int


def _headings(text: str) -> list[re.Match[str]]:
    """What may be a heading, in order."""
    marks = list(HEADING.finditer(text))
    return sorted((*marks, *DASHED.finditer(text)), key=re.Match.start) if " - " in text else marks


def _parts(text: str, headings: dict[str, str]) -> list[Span]:
    """The text, cut at its headings; an unknown heading in capitals ends what is not evidence, and nothing else."""
    name, start = TEXT, 0
    parts: list[Span] = []
    for mark in _headings(text):
        words = mark["words"]
        section = headings.get(" ".join(NUMBER.sub("", words.lower()).replace("(s)", "s").split()))
        if section is None and name == IGNORED and mark.re is HEADING and mark["colon"] and words.isupper():
            section = TEXT
        if section is not None:
            parts.append(Span(name, start, mark.start()))
            name, start = section, mark.end()
    parts.append(Span(name, start, len(text)))
    return [part for part in parts if text[part.start : part.end].strip(" \t\r\n:._-*")]


def sections(text: str, lexicon: Lexicon) -> list[Span]:
    """The parts of a report that are evidence, in order.

    Findings, impression and addenda are read where there are such headings. Without a findings heading the text under
    unknown headings, before any heading, and after the first paragraph of a section that is not evidence is read too;
    where that leaves nothing, what stands after the first line of such a section.
    """
    parts = _parts(text, lexicon.headings)
    if any(part.name == "findings" for part in parts):
        return [part for part in parts if part.name in EVIDENCE]
    for end_of_first in (BLANK_LINE, LINE_END):
        read = (part if part.name != IGNORED else _after_first(end_of_first, text, part) for part in parts)
        kept = [part for part in read if text[part.start : part.end].strip()]
        if kept:
            return kept
    return []


def _after_first(end_of_first: re.Pattern[str], text: str, part: Span) -> Span:
    """What follows the first paragraph, or line, of a section."""
    start = part.end - len(text[part.start : part.end].lstrip())
    end = end_of_first.search(text, start, part.end)
    return Span(TEXT, end.end() if end else part.end, part.end)


def sentences(text: str, start: int, end: int, lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    """The sentences of a stretch of text as offsets, without the white space around them."""
    begin = start
    for mark in BOUNDARY.finditer(text, start, end):
        stop = mark.start()
        sign = text[stop]
        if sign == "?":
            if not text[max(begin, stop - 1) : stop].strip(BEFORE_SENTENCE):
                continue  # "? pneumonia" asks, "pneumonia?" ends a sentence
            stop = mark.end()  # it is a cue
        elif sign == ".":
            words = text[max(begin, stop - 12) : stop].split()
            if words and words[-1].lower().strip("(") in lexicon.abbreviations:
                continue
        yield from _pieces(text, begin, stop)
        begin = mark.end()
    yield from _pieces(text, begin, end)


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence without the white space around it, cut where it is too long."""
    while start < end:
        stop = end
        if end - start > LONGEST_SENTENCE:
            space = text.rfind(" ", start + 1, start + LONGEST_SENTENCE)
            stop = space if space > 0 else start + LONGEST_SENTENCE
        piece = text[start:stop]
        kept = piece.lstrip(BEFORE_SENTENCE)
        left = start + len(piece) - len(kept)
        length = len(kept.rstrip())
        if length:
            yield left, left + length
        start = stop
