"""From the sections of a report to findings, each with the words that decided it."""

from functools import lru_cache
from typing import NamedTuple

from components.reports.clauses import separate
from components.reports.lexicon import Lexicon, lexicon
from components.reports.location import Grammar, compose, pairs
from components.reports.mentions import Item, items_of
from components.reports.presence import Decision, decide
from components.reports.text import Span, sentences

REMEMBERED_SENTENCES = 1 << 16


Offsets = tuple[int, int]  # from the first character to the one after the last


class Finding(NamedTuple):
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


def state(item: Item, places: list[Item], decision: Decision, known: Lexicon) -> list[Statement]:
    """What a mention at its places states, and what it rules out where it is present."""
    if item.value in known.vague and decision.presence == "present":
        return []
    said, ruled_out = pairs(item, places, decision.presence, known)
    at, cue = (item.start, item.end), decision.cue
    places_at = tuple([(place.start, place.end) for place in places]) if places else ()
    words, cue_at = (cue.phrase, (cue.start, cue.end)) if cue else ("", None)
    stated = [Statement(*pair, decision.presence, at, words, cue_at, places_at, False) for pair in said]
    if decision.presence == "present":
        stated += [Statement(*pair, "absent", at, item.phrase, at, places_at, True) for pair in ruled_out]
    return stated


def settled(found: list[tuple[Finding, bool]]) -> list[Finding]:
    """Without what a normal statement entails of a pathology that the report asserts, or considers, anywhere."""
    asserted = {finding.pathology for finding, _ in found if finding.presence != "absent"}
    return [finding for finding, entailed in found if not (entailed and finding.pathology in asserted)]


class Sentence(NamedTuple):
    """What one sentence states, in the order of its words, and the words that the lexicon lacks (see `items_of`)."""

    statements: tuple[Statement, ...]
    unmatched: tuple[tuple[str, str], ...]


@lru_cache(maxsize=REMEMBERED_SENTENCES)
def parse_sentence(sentence: str) -> Sentence:
    """Read one sentence."""
    known = lexicon()
    matched, unmatched = items_of(sentence, known)
    items = compose(separate(matched, known), known)
    decisions = decide(items, known)
    grammar = Grammar(items, known)
    found: list[Statement] = []
    for index, item in enumerate(items):
        if item.kind == "stop":
            grammar.pass_stop(item)
        if item.kind not in ("noun", "adjective"):
            continue
        places = grammar.places(index)
        if places is None or decisions[index].presence == "ignored":
            continue
        found.extend(state(item, places, decisions[index], known))
    return Sentence(tuple(dict.fromkeys(found)), tuple(unmatched))


def parse_parts(text: str, parts: list[Span]) -> tuple[list[Finding], frozenset[tuple[str, str]]]:
    """The findings of given stretches of a report, and its unmatched words."""
    known = lexicon()
    found: list[tuple[Finding, bool]] = []
    unmatched: set[tuple[str, str]] = set()
    number = 0
    for part in parts:
        for start, end in sentences(text, part.start, part.end, known):
            sentence = parse_sentence(text[start:end])
            unmatched.update(sentence.unmatched)
            for said in sentence.statements:
                finding = Finding(
                    said.pathology,
                    said.anatomy,
                    said.presence,
                    part.name,
                    number,
                    said.at[0] + start,
                    said.at[1] + start,
                    said.cue,
                    _moved(said.cue_at, start) if said.cue_at else None,
                    tuple([_moved(at, start) for at in said.places_at]) if said.places_at else (),
                )
                found.append((finding, said.entailed))
            number += 1
    return settled(found), frozenset(unmatched)


def _moved(at: Offsets, by: int) -> Offsets:
    return at[0] + by, at[1] + by
