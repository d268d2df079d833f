"""The parser: a report's text to findings, each with the words that decided it."""

from dataclasses import dataclass
from functools import lru_cache

from components.reports.lexicon import lexicon
from components.reports.location import Grammar, compose, pairs
from components.reports.mentions import items_of
from components.reports.presence import decide
from components.reports.text import Span, sections, sentences

REMEMBERED_SENTENCES = 1 << 16


@dataclass(frozen=True, slots=True)
class Finding:
    """A pathology at an anatomy, as a report says it.

    Attributes:
        pathology, anatomy: names of the vocabulary.
        presence: present, absent or uncertain.
        section: findings, impression, addendum, or text where the report has no such headings.
        sentence: its number in the report, counted from 0.
        start, end: offsets of the mention in the report, in characters.
        cue: the phrase of the lexicon that decided the presence, or "".
    """

    pathology: str
    anatomy: str
    presence: str
    section: str
    sentence: int
    start: int
    end: int
    cue: str


Relative = tuple[str, str, str, int, int, str, bool]


@lru_cache(maxsize=REMEMBERED_SENTENCES)
def parse_sentence(sentence: str) -> tuple[Relative, ...]:
    """The findings of one sentence: pathology, anatomy, presence, start, end (in it), cue, whether entailed."""
    known = lexicon()
    items = compose(items_of(sentence, known), known)
    decisions = decide(items, known.healthy)
    grammar = Grammar(items, known)
    found: list[Relative] = []
    for index, item in enumerate(items):
        if item.kind == "stop":
            grammar.forget()
        if item.kind not in ("noun", "adjective"):
            continue
        places = grammar.places(index)
        presence, cue = decisions[index]
        if places is None or presence == "ignored":
            continue
        said, ruled_out = pairs(item, places, presence, known)
        found.extend((*pair, presence, item.start, item.end, cue, False) for pair in said)
        if presence == "present":
            found.extend((*pair, "absent", item.start, item.end, item.phrase, True) for pair in ruled_out)
    return tuple(dict.fromkeys(found))


def parse_parts(text: str, parts: list[Span]) -> list[Finding]:
    """The findings of given stretches of a report.

    What a normal statement entails counts only where the report nowhere asserts, or considers, that very pathology.
    """
    known = lexicon()
    found: list[tuple[Finding, bool]] = []
    number = 0
    for part in parts:
        for start, end in sentences(text, part.start, part.end, known):
            for pathology, anatomy, presence, begin, finish, cue, entailed in parse_sentence(text[start:end]):
                where = (part.name, number, start + begin, start + finish)
                found.append((Finding(pathology, anatomy, presence, *where, cue), entailed))
            number += 1
    asserted = {finding.pathology for finding, _ in found if finding.presence != "absent"}
    return [finding for finding, entailed in found if not (entailed and finding.pathology in asserted)]


def parse(text: str) -> list[Finding]:
    """The findings of a report, in the order of its text; any text is accepted."""
    return parse_parts(text, sections(text, lexicon()))
