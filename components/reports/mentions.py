"""The words of a sentence into what the lexicon knows of them: findings, places, sides, cues, joints."""

import re
from dataclasses import dataclass

from components.reports.lexicon import WORD, Entry, Lexicon

# A side's letter before a word or the other side: "L effusion", "R>L"; not "L1", "L-spine", or the initial of a name.
SIDE_LETTER = re.compile(r"(?<![\w.])[LR](?=\s{1,3}(?:(?!spine)[a-z]|PICC|IJ)|\s?>)")
SIDES = {"l": ("left",), "r": ("right",)}
TELLING = ("noun", "adjective", "place")


@dataclass(slots=True)
class Item:
    """A phrase of a sentence.

    Attributes:
        kind, value, phrase: as in `lexicon.Entry`.
        start, end: offsets in the sentence, in characters.
        side: of a place: left, right, both or "".
        at, site: of a noun: the place it always has, and the one it has where none is said, or "".
    """

    kind: str
    value: str
    phrase: str
    start: int
    end: int
    side: str = ""
    at: str = ""
    site: str = ""


def lower(text: str) -> str:
    """Lower case of the same length, with plain apostrophes: a dotted capital I would become two characters."""
    return text.replace("İ", "I").replace("’", "'").lower()


def _longest(words: list[str], begin: int, tree: dict) -> tuple[Entry | None, int]:
    """The longest phrase that begins at a word, and the number of its words."""
    found: Entry | None = None
    length = 0
    node = tree
    for position in range(begin, len(words)):
        if words[position] not in node:
            break
        node = node[words[position]]
        if "" in node:
            found, length = node[""], position - begin + 1
    return found, length


def items_of(sentence: str, lexicon: Lexicon) -> tuple[list[Item], list[tuple[str, str]]]:
    """What the lexicon knows in a sentence, in order, and what it does not.

    Returns:
        The items, and the words in lower case that no phrase holds but that stand right beside a finding or a place,
        each with that phrase: what might be missing in the lexicon.
    """
    tree, spellings = lexicon.tree, lexicon.spellings
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in WORD.finditer(lower(sentence)):
        word = match.group()
        reads = spellings.get(word)
        if reads is None and len(word) == 1 and word in SIDES and SIDE_LETTER.match(sentence, match.start()):
            reads = SIDES[word]
        if reads is None:
            words.append(word if word[0] != "_" else "___")
            spans.append(match.span())
            continue
        for read in reads:
            words.append(read)
            spans.append(match.span())
    items: list[Item] = []
    unmatched: list[tuple[str, str]] = []
    position = 0
    unknown = beside = ""  # the unknown word just passed, and the phrase of a finding or place just passed
    while position < len(words):
        entry, length = _longest(words, position, tree) if words[position] in tree else (None, 0)
        if entry is None:
            start, end = spans[position]
            word = words[position]
            unknown = word if word.isalpha() and word not in lexicon.english and sentence[start:end].islower() else ""
            if unknown and beside:
                unmatched.append((unknown, beside))
            beside = ""
            position += 1
            continue
        beside = entry.phrase if entry.kind in TELLING else ""
        if unknown and beside:
            unmatched.append((unknown, beside))
        unknown = ""
        if entry.kind != "nothing":
            start, end = spans[position][0], spans[position + length - 1][1]
            # At the end nothing is left that a cue could look forward to: "effusion, likely".
            ends = entry.kind == "cue_either" and position + length == len(words)
            kind = "cue_after" if ends else entry.kind
            items.append(Item(kind, entry.value, entry.phrase, start, end, entry.side, entry.at, entry.site))
        position += length
    return items, unmatched
