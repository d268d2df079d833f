"""The parser: a report's text to findings, each with the words that decided it."""

from dataclasses import dataclass
from functools import lru_cache

from components.reports.lexicon import Lexicon, lexicon
from components.reports.location import anatomies_of, compose, places_of
from components.reports.mentions import Item, items_of
from components.reports.presence import STATES, decide
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


Relative = tuple[str, str, str, int, int, str]


def _meaning(item: Item, anatomies: tuple[str, ...], known: Lexicon) -> list[tuple[str, str]]:
    """The (pathology, anatomy) pairs of a mention, where some pairs have a name of their own (enlarged heart)."""
    pairs = []
    for anatomy in anatomies:
        meaning = known.meanings.get((item.value, anatomy))
        pairs.append((meaning or item.value, anatomy))
        pairs.extend((other, anatomy) for other in known.also.get(item.value, ()))
    return pairs


def _located(items: list[Item], known: Lexicon) -> list[tuple[Item, int, tuple[str, ...]]]:
    """Every finding of a sentence with its index and anatomies; what has no place takes that of its neighbour."""
    located: list[tuple[Item, int, tuple[str, ...]]] = []
    inherited: list[Item] = []
    for index, item in enumerate(items):
        if item.kind == "stop":
            inherited = []
        if item.kind not in ("noun", "adjective"):
            continue
        places = places_of(items, index)
        if places is None:
            continue
        if not places and item.kind == "adjective" and item.value in STATES:
            continue
        if item.kind == "noun":
            places = places or inherited
            inherited = places
        located.append((item, index, anatomies_of(item.value, places, item.at, known)))
    return located


@lru_cache(maxsize=REMEMBERED_SENTENCES)
def parse_sentence(sentence: str) -> tuple[Relative, ...]:
    """The findings of one sentence: pathology, anatomy, presence, start, end (in the sentence), cue."""
    known = lexicon()
    items = compose(items_of(sentence, known), known)
    decisions = decide(items)
    found: list[Relative] = []
    for item, index, anatomies in _located(items, known):
        presence, cue = decisions[index]
        if presence == "ignored":
            continue
        for pathology, anatomy in _meaning(item, anatomies, known):
            found.append((pathology, anatomy, presence, item.start, item.end, cue))
            if presence == "present" and item.kind == "adjective":
                for ruled_out in known.entailments.get((pathology, anatomy), ()):
                    found.append((ruled_out, anatomy, "absent", item.start, item.end, item.phrase))
    return tuple(dict.fromkeys(found))


def parse_parts(text: str, parts: list[Span]) -> list[Finding]:
    """The findings of given stretches of a report."""
    known = lexicon()
    found: list[Finding] = []
    number = 0
    for part in parts:
        for start, end in sentences(text, part.start, part.end, known):
            for pathology, anatomy, presence, begin, finish, cue in parse_sentence(text[start:end]):
                found.append(
                    Finding(pathology, anatomy, presence, part.name, number, start + begin, start + finish, cue)
                )
            number += 1
    return found


def parse(text: str) -> list[Finding]:
    """The findings of a report, in the order of its text; any text is accepted."""
    return parse_parts(text, sections(text, lexicon()))
