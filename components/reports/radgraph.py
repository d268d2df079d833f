"""RadGraph's output to findings: entities are tokens with a label, relations say what modifies what and where it is.

Both published forms are read: the inference file of RadGraph (Jain et al. 2021, arXiv 2106.14463), whose keys are the
reports' paths, and the output of the `radgraph` package, whose keys are running numbers and whose labels are written
out; there the report is found by its letters. The lexicon turns tokens into pathologies and places, so that the
findings are those that the parser would write: what has no word in the lexicon is no finding and counts as unmatched.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from components.reports.clauses import separate
from components.reports.lexicon import Lexicon, lexicon
from components.reports.location import compose
from components.reports.mentions import Item, items_of
from components.reports.parser import Finding, settled, state
from components.reports.presence import Decision
from components.reports.reading import Reading
from components.reports.text import EVIDENCE, IGNORED, TEXT

# Labels of the inference file, and how the package spells them.
PRESENCES = {
    "OBS-DP": "present", "OBS-DA": "absent", "OBS-U": "uncertain",
    "Observation::definitely present": "present", "Observation::definitely absent": "absent",
    "Observation::uncertain": "uncertain",
}  # fmt: skip
ANATOMY = ("ANAT", "Anatomy")
LONGEST_HEADING = 5  # words
BLANK = re.compile(r"[ \t\r\n]*")
SHAPE = '{"key": {"text": "…", "entities": {"1": {"tokens", "label", "start_ix", "end_ix", "relations"}, …}}, …}'

Entities = dict[str, dict[str, Any]]


def entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The reports of a file with their keys, one after the other: a large file is never held decoded.

    Raises:
        ValueError: the file is missing, not UTF-8 or not a JSON object of such reports.
    """
    if not path.is_file():
        raise ValueError(f"{path} (reports.radgraph) does not exist")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from None
    decode = json.JSONDecoder().raw_decode
    place, mark = _after(path, text, 0, "{")
    while mark != "}":
        try:
            key, place = decode(text, place)
            place, _ = _after(path, text, place, ":")
            entry, place = decode(text, place)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON ({error}); it is {SHAPE}") from None
        if not isinstance(key, str) or not _is_report(entry):
            raise ValueError(f"{path}: the entry {str(key)[:80]!r} is not a report; the file is {SHAPE}")
        yield key, entry
        place, mark = _after(path, text, place, ",}")
    if place < len(text):
        raise ValueError(f"{path} goes on after its object (character {place}); it is one {SHAPE}")


def _after(path: Path, text: str, place: int, marks: str) -> tuple[int, str]:
    """The place after one of the marks and the blanks around it, and the mark; of an empty object its end."""
    begin = BLANK.match(text, place).end()  # type: ignore[union-attr]  # the expression matches anywhere
    mark = text[begin : begin + 1]
    if not mark or mark not in marks:
        raise ValueError(f"{path} is not JSON (character {begin}: {mark!r} where {marks} should be); it is {SHAPE}")
    end = BLANK.match(text, begin + 1).end()  # type: ignore[union-attr]
    if mark == "{" and text[end : end + 1] == "}":
        return BLANK.match(text, end + 1).end(), "}"  # type: ignore[union-attr]
    return end, mark


def _is_report(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("text"), str)
        and isinstance(entry.get("entities"), dict)
        and all(_is_entity(entity) for entity in entry["entities"].values())
    )


def _is_entity(entity: Any) -> bool:
    return (
        isinstance(entity, dict)
        and all(isinstance(entity.get(key), str) for key in ("tokens", "label"))
        and all(type(entity.get(key)) is int for key in ("start_ix", "end_ix"))
        and isinstance(entity.get("relations"), list)
        and all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
            for pair in entity["relations"]
        )
    )


class _Graph:
    """The entities of one report and what they are related to."""

    def __init__(self, entities: Entities, known: Lexicon) -> None:
        self.entities, self.known = entities, known
        self.modifiers: dict[str, list[str]] = {}
        self.suggested_by: dict[str, list[str]] = {}
        for name, entity in entities.items():
            for relation, target in entity["relations"]:
                if relation == "modify" and target in entities:
                    self.modifiers.setdefault(target, []).append(name)
                elif relation == "suggestive_of":
                    self.suggested_by.setdefault(target, []).append(name)

    def _with_modifiers(self, names: list[str], wanted: Callable[[dict[str, Any]], bool]) -> str:
        """The tokens of entities and of what modifies them, as in the text; a comma where others stand between."""
        gathered, waiting = dict.fromkeys(names), list(names)
        while waiting:
            for name in self.modifiers.get(waiting.pop(), ()):
                if name not in gathered and wanted(self.entities[name]):
                    gathered[name] = None
                    waiting.append(name)
        words, end = "", None
        for entity in sorted((self.entities[name] for name in gathered), key=lambda entity: entity["start_ix"]):
            words += ("" if end is None else " " if entity["start_ix"] == end + 1 else " , ") + entity["tokens"]
            end = entity["end_ix"]
        return words

    def finding(self, name: str) -> Item | None:
        """What an observation is, with the observations that modify it: "nodular opacity"."""
        entity = self.entities[name]
        for words in (self._with_modifiers([name], lambda other: not _is_anatomy(other)), entity["tokens"]):
            items = [item for item in items_of(words, self.known)[0] if item.kind in ("noun", "adjective")]
            nouns = [item for item in items if item.kind == "noun"]
            if items:
                return (nouns or items)[-1]
        return None

    def places(self, name: str) -> list[Item]:
        """Where an observation is, or else where that is which it modifies, or which suggests it."""
        relations = self.entities[name]["relations"]
        sites = [target for relation, target in relations if relation == "located_at" and target in self.entities]
        if not sites:
            hosts = [target for relation, target in relations if relation == "modify" and target in self.entities]
            hosts += self.suggested_by.get(name, ())
            sites = [
                target
                for host in hosts
                for relation, target in self.entities[host]["relations"]
                if relation == "located_at" and target in self.entities
            ]
        items = items_of(self._with_modifiers(sites, _is_anatomy), self.known)[0]
        return [item for item in compose(separate(items, self.known), self.known) if item.kind == "place"]


def _is_anatomy(entity: dict[str, Any]) -> bool:
    return bool(entity["label"].startswith(ANATOMY))


def _sections(tokens: list[str], known: Lexicon) -> list[str]:
    """The section of every token. RadGraph keeps no lines: a heading is known by its words and the colon after them."""
    names, name = [TEXT] * len(tokens), TEXT
    for index, token in enumerate(tokens):
        if token == ":":
            for length in range(LONGEST_HEADING, 0, -1):
                heading = known.headings.get(" ".join(tokens[max(0, index - length) : index]).lower())
                if heading is not None:
                    name = heading
                    break
        names[index] = name
    # Without a heading that names evidence the headings there are tell nothing: the evidence stands under one of them.
    return names if any(name in EVIDENCE for name in names) else [TEXT] * len(tokens)


def read_entry(entry: dict[str, Any]) -> Reading:
    """The findings of one report of RadGraph's; offsets are those of its own text, whose tokens one blank separates.

    The cue of a finding is RadGraph's label: its words are not kept by RadGraph.
    """
    known = lexicon()
    tokens = entry["text"].split()
    starts = list(accumulate((len(token) + 1 for token in tokens), initial=0))
    names = _sections(tokens, known)
    sentences = list(accumulate((token in (".", "?", "!") for token in tokens), initial=0))
    graph = _Graph(entry["entities"], known)
    found: list[tuple[Finding, bool]] = []
    unmatched: set[tuple[str, str]] = set()
    for name, entity in sorted(entry["entities"].items(), key=lambda pair: (pair[1]["start_ix"], pair[0])):
        presence, first, last = PRESENCES.get(entity["label"]), entity["start_ix"], entity["end_ix"]
        if presence is None or not 0 <= first <= last < len(tokens) or names[first] == IGNORED:
            continue
        item = graph.finding(name)
        if item is None:
            if entity["tokens"].isalpha() and entity["tokens"].islower():
                unmatched.add((entity["tokens"], ""))
            continue
        places = graph.places(name)
        if item.kind == "adjective" and not places and item.value in known.of_places:
            continue
        at = (names[first], sentences[first], starts[first], starts[last + 1] - 1)
        for said in state(item, places, Decision(presence, None), known):
            finding = Finding(said.pathology, said.anatomy, said.presence, *at, entity["label"])
            found.append((finding, said.entailed))
    return Reading(settled(found), frozenset(unmatched), ())
