"""The lexicon: `core/vocabulary/synonyms.yaml`, read, checked, and compiled into a tree of words for longest match."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from components.core.vocabulary import ANATOMY_INDEX, FOLDER, PATHOLOGY_INDEX

SYNONYMS = FOLDER / "synonyms.yaml"
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+(?:[.,]\d+)*|_+|[^\w\s-]")
PRESENCES = ("absent", "uncertain", "present", "ignored")
DIRECTIONS = ("before", "after", "either")
COMPANION = "companion"  # the value of a stop that joins what lies together
LASTING, SIGHTING = "lasting", "sighting"  # the values of verbs that say how a finding goes on, and that it is there
GRAMMAR = {
    "stop": "stops", "preposition": "prepositions", "verb": "verbs", "degree": "degrees", "pronoun": "pronouns",
    "elsewhere": "elsewhere", "nothing": "nothing",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase of the lexicon is.

    Attributes:
        kind: noun, adjective, place, zone, side, cue_before, cue_after, cue_either, stop, join, degree, pronoun,
            elsewhere, preposition, verb or nothing.
        value: the pathology, the place, the zone, the presence, the kind of join, companion of a stop, or lasting or
            sighting of a verb.
        side: the side that a place word carries by itself, such as bibasilar.
        at: the place that a noun always has.
        site: the place that a noun has where the report names none, or "" for its pathology's.
        phrase: the phrase as the lexicon has it, which is what a table may show.
    """

    kind: str
    value: str
    phrase: str
    side: str = ""
    at: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """The anatomies that a place stands for, by the side that is said: left, right, both, or none ("")."""

    by_side: dict[str, tuple[str, ...]]

    def has(self, side: str) -> bool:
        """Whether a side is said that makes a difference to it."""
        return side != "" and (side in self.by_side or (side == "both" and "left" in self.by_side))

    def anatomies(self, side: str) -> tuple[str, ...]:
        """The anatomies on a side; a place without sides is the same on each."""
        if side in self.by_side:
            return self.by_side[side]
        if side == "both" and "left" in self.by_side and "right" in self.by_side:
            return self.by_side["left"] + self.by_side["right"]
        return self.by_side[""]


@dataclass(frozen=True)
class Lexicon:
    """The compiled lexicon; `tree` maps word to subtree, with the entry of a phrase that ends there under "".

    `words` are all single words of it, `english` those that carry the grammar and no finding.
    """

    spellings: dict[str, tuple[str, ...]]
    tree: dict[str, Any]
    words: frozenset[str]
    english: frozenset[str]
    headings: dict[str, str]
    abbreviations: frozenset[str]
    places: dict[str, Place]
    sites: dict[str, str]
    only: frozenset[str]
    also: dict[str, tuple[str, ...]]
    healthy: frozenset[str]
    of_places: frozenset[str]
    vague: frozenset[str]
    zones: dict[str, dict[str, str]]
    groups: dict[str, str]
    weak: frozenset[str]
    airless: frozenset[str]
    courses: frozenset[str]
    standing: frozenset[str]
    asides: frozenset[str]
    landmarks: frozenset[str]
    before_landmarks: frozenset[str]
    meanings: dict[tuple[str, str], str]
    entailments: dict[tuple[str, str], tuple[str, ...]]


def words_of(text: str) -> list[str]:
    """The words of a phrase, as the lexicon sees them."""
    return WORD.findall(text)


def plurals(word: str) -> Iterator[str]:
    """The regular plural of a word."""
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        yield word[:-1] + "ies"
    elif word.endswith("is"):
        yield word[:-2] + "es"
    elif word.endswith(("s", "x", "ch", "sh")):
        yield word + "es"
    elif word.isalpha() and len(word) > 1:
        yield word + "s"


class _Builder:
    """Collects the phrases and refuses what does not fit."""

    def __init__(self, content: dict[str, Any], source: str) -> None:
        self.content, self.source = content, source
        self.tree: dict[str, Any] = {}
        self.phrases: dict[tuple[str, ...], Entry] = {}
        self.spellings: dict[str, tuple[str, ...]] = {}
        for word, read_as in content["spellings"].items():
            if words_of(str(word).lower()) != [word]:
                self.fail(f"spellings: {word!r} is not a single word in lower case")
            self.spellings[word] = tuple(words_of(read_as))

    def fail(self, message: str) -> None:
        raise ValueError(f"{self.source}: {message}")

    def spelled(self, phrase: str) -> tuple[str, ...]:
        return tuple(read for word in words_of(phrase.lower()) for read in self.spellings.get(word, (word,)))

    def add(self, phrase: str, kind: str, value: str, inflect: bool = False, **more: str) -> None:
        if not isinstance(phrase, str) or not words_of(phrase):
            self.fail(f'{kind} {value}: {phrase!r} is not a phrase (quote words such as "no" and ",")')
        entry = Entry(kind, value, phrase, **more)
        words = self.spelled(phrase)
        known = self.phrases.get(words)
        if known and (known.kind, known.value, known.at) != (kind, value, entry.at):
            self.fail(f"{phrase!r} stands twice: {known.kind} {known.value} and {kind} {value}")
        self.phrases[words] = entry
        self.insert(words, entry)
        if inflect:
            for plural in plurals(words[-1]):
                if (*words[:-1], plural) not in self.phrases:
                    self.insert((*words[:-1], plural), entry)

    def insert(self, words: tuple[str, ...], entry: Entry) -> None:
        node = self.tree
        for word in words:
            node = node.setdefault(word, {})
        node[""] = entry

    def check(self, name: str, known: Any, what: str) -> str:
        if name not in known:
            self.fail(f"{name!r} is not {what}")
        return name

    def findings(self) -> None:
        content = self.content
        for special in content["phrases"]:
            for phrase in special["say"]:
                self.check(special["means"], PATHOLOGY_INDEX, "a pathology of the vocabulary")
                at, site = (
                    self.check(special[key], content["places"], "a place of this file") if key in special else ""
                    for key in ("at", "place")
                )
                self.add(phrase, "noun", special["means"], inflect=True, at=at, site=site)
        for name, term in content["pathologies"].items():
            self.check(name, PATHOLOGY_INDEX, "a pathology of the vocabulary")
            for kind in ("noun", "adjective"):
                for phrase in term.get(f"{kind}s", ()):
                    self.add(phrase, kind, name, inflect=kind == "noun")

    def grounds(self) -> None:
        content = self.content
        for name, place in content["places"].items():
            for anatomies in (place[side] for side in ("left", "right", "both", "none") if side in place):
                for anatomy in anatomies:
                    self.check(anatomy, ANATOMY_INDEX, "an anatomy of the vocabulary")
            for phrase in place["terms"]:
                self.add(phrase, "place", name, inflect=True)
        for phrase, (side, place_name) in content["sided_places"].items():
            self.check(place_name, content["places"], "a place of this file")
            self.add(phrase, "place", place_name, side=self.check(side, content["sides"], "a side"))
        for zone in content["zones"]:
            self.add(zone, "zone", zone)

    def grammar(self) -> None:
        content = self.content
        for kind, key in (("side", "sides"), ("join", "joins")):
            for value, phrases in content[key].items():
                for phrase in phrases:
                    self.add(phrase, kind, value)
        for presence, cues in content["cues"].items():
            self.check(presence, PRESENCES, "a presence")
            for direction, phrases in cues.items():
                self.check(direction, DIRECTIONS, "a direction of cues (before, after or either)")
                for phrase in phrases:
                    self.add(phrase, f"cue_{direction}", presence)
        for phrase in content["companions"]:
            self.add(phrase, "stop", COMPANION)
        for phrase in content["foreign"]:
            self.add(phrase, "cue_before", "absent")
        for value in (LASTING, SIGHTING):
            for phrase in content[value]:
                self.add(phrase, "verb", value)
        for kind, key in GRAMMAR.items():
            for phrase in content[key]:
                self.add(phrase, kind, "")

    def lexicon(self) -> Lexicon:
        self.findings()
        self.grounds()
        self.grammar()
        content = self.content
        terms = content["pathologies"]
        return Lexicon(
            spellings=self.spellings,
            tree=self.tree,
            words=frozenset(word for words in self.phrases for word in words).union(self.spellings, content["english"])
            - frozenset(content["foreign"]),
            english=frozenset(content["english"]),
            headings={
                heading: "" if section == "ignored" else section
                for section, headings in content["sections"].items()
                for heading in headings
            },
            abbreviations=frozenset(content["abbreviations"]),
            places={
                name: Place({"" if side == "none" else side: tuple(place[side]) for side in place if side != "terms"})
                for name, place in content["places"].items()
            },
            sites={
                name: self.check(term["place"], content["places"], "a place of this file")
                for name, term in terms.items()
                if "place" in term
            },
            only=frozenset(name for name, term in terms.items() if term.get("only")),
            also={
                name: tuple(
                    self.check(other, PATHOLOGY_INDEX, "a pathology of the vocabulary") for other in term["also"]
                )
                for name, term in terms.items()
                if "also" in term
            },
            healthy=frozenset(name for name, term in terms.items() if term.get("healthy")),
            of_places=frozenset(name for name, term in terms.items() if term.get("healthy") or term.get("of_places")),
            vague=frozenset(name for name, term in terms.items() if term.get("vague")),
            zones=content["zones"],
            groups={place: group for zone in content["zones"].values() for group, place in zone.items()}
            | dict(content["groups"]),
            airless=frozenset(
                self.check(name, content["places"], "a place of this file") for name in content["airless"]
            ),
            courses=frozenset(
                self.check(name, PATHOLOGY_INDEX, "a pathology of the vocabulary") for name in content["courses"]
            ),
            standing=frozenset(
                self.check(name, PATHOLOGY_INDEX, "a pathology of the vocabulary") for name in content["standing"]
            ),
            asides=frozenset(content["asides"]),
            landmarks=frozenset(
                self.check(name, content["places"], "a place of this file") for name in content["landmarks"]["places"]
            ),
            before_landmarks=frozenset(
                self.check(name, PATHOLOGY_INDEX, "a pathology of the vocabulary")
                for name in content["landmarks"]["findings"]
            ),
            weak=frozenset(self.check(name, content["places"], "a place of this file") for name in content["weak"]),
            meanings={
                (say, at): rule["means"] for rule in content["meanings"] for say in rule["say"] for at in rule["at"]
            },
            entailments={
                (say, at): tuple(rule["absent"])
                for rule in content["entailments"]
                for say in rule["say"]
                for at in rule["at"]
            },
        )


def read_lexicon(path: Path) -> Lexicon:
    """Read and compile a lexicon.

    Raises:
        ValueError: a name is not in the vocabulary, a phrase is empty or stands twice, or a part is missing.
    """
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    try:
        return _Builder(content, path.name).lexicon()
    except KeyError as error:
        raise ValueError(f"{path.name}: {error} is missing") from None


def targets(known: Lexicon) -> list[str]:
    """Every phrase by which a lexicon knows a finding, inflections included."""
    phrases: list[str] = []
    waiting: list[tuple[tuple[str, ...], dict[str, Any]]] = [((), known.tree)]
    while waiting:
        words, node = waiting.pop()
        entry = node.get("")
        if entry is not None and entry.kind in ("noun", "adjective"):
            phrases.append(" ".join(words))
        waiting.extend(((*words, word), below) for word, below in node.items() if word)
    return sorted(phrases)


@cache
def lexicon() -> Lexicon:
    """The project's own lexicon."""
    return read_lexicon(SYNONYMS)
