"""The parser: a report's text to findings, each with the words that decided it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from components.reports.clauses import separate
from components.reports.lexicon import lexicon
from components.reports.location import Grammar, compose, pairs
from components.reports.mentions import items_of
from components.reports.presence import decide
from components.reports.text import Span, sections, sentences

REMEMBERED_SENTENCES = 1 << 16


Offsets = tuple[int, int]  # from the first character to the one after the last


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
        cue_at: where the cue stands in the report, or None.
        places_at: where the words stand that say the place; empty where it is the default site.
    """

    pathology: str
    anatomy: str
    presence: str
    section: str
    sentence: int
    start: int
    end: int
    cue: str
    cue_at: Offsets | None = None
    places_at: tuple[Offsets, ...] = ()


class Statement(NamedTuple):
    """A finding within its sentence; `entailed` where a normal statement rules it out. Offsets are the sentence's."""

    pathology: str
    anatomy: str
    presence: str
    at: Offsets
    cue: str
    cue_at: Offsets | None
    places_at: tuple[Offsets, ...]
    entailed: bool


@lru_cache(maxsize=REMEMBERED_SENTENCES)
def parse_sentence(sentence: str) -> tuple[Statement, ...]:
    """What one sentence states, in the order of its words."""
    known = lexicon()
    items = compose(separate(items_of(sentence, known)), known)
    decisions = decide(items, known.healthy)
    grammar = Grammar(items, known)
    found: list[Statement] = []
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
        at = (item.start, item.end)
        places_at = tuple((place.start, place.end) for place in places)
        words, cue_at = (cue.phrase, (cue.start, cue.end)) if cue else ("", None)
        found.extend(Statement(*pair, presence, at, words, cue_at, places_at, False) for pair in said)
        if presence == "present":
            found.extend(Statement(*pair, "absent", at, item.phrase, at, places_at, True) for pair in ruled_out)
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
            for said in parse_sentence(text[start:end]):
                finding = Finding(
                    said.pathology,
                    said.anatomy,
                    said.presence,
                    part.name,
                    number,
                    *_moved(said.at, start),
                    said.cue,
                    _moved(said.cue_at, start) if said.cue_at else None,
                    tuple(_moved(at, start) for at in said.places_at),
                )
                found.append((finding, said.entailed))
            number += 1
    asserted = {finding.pathology for finding, _ in found if finding.presence != "absent"}
    return [finding for finding, entailed in found if not (entailed and finding.pathology in asserted)]


def _moved(at: Offsets, by: int) -> Offsets:
    return at[0] + by, at[1] + by


def parse(text: str) -> list[Finding]:
    """The findings of a report, in the order of its text; any text is accepted."""
    return parse_parts(text, sections(text, lexicon()))
