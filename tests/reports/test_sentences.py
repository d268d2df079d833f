"""Where sentences end."""

import pytest

from components.reports.lexicon import lexicon
from components.reports.text import LONGEST_SENTENCE, sentences

SENTENCES = [
    ("Lungs are clear. No effusion.", ["Lungs are clear", "No effusion"]),
    ("Told to Dr. Who by phone. No mass.", ["Told to Dr. Who by phone", "No mass"]),
    ("A 4.5 cm mass. It is 2 cm larger.", ["A 4.5 cm mass", "It is 2 cm larger"]),
    ("1. Edema. 2. Effusion.", ["Edema", "Effusion"]),
    ("1. Edema\n2. Effusion", ["Edema", "Effusion"]),
    ("(1) Edema\n(2) Effusion", ["Edema", "Effusion"]),
    ("- edema\n- effusion", ["edema", "effusion"]),
    ("Scarring vs. atelectasis.", ["Scarring vs. atelectasis"]),
    ("The left\nlower lobe is clear.", ["The left\nlower lobe is clear"]),
    ("No edema\n\nLarge heart", ["No edema", "Large heart"]),
    ("XXXX is seen. ___ is not.", ["XXXX is seen", "___ is not"]),
    ("Clear lungs; large heart.", ["Clear lungs", "large heart"]),
    ("No mass.Heart is normal.", ["No mass", "Heart is normal"]),
    ("No mass.. Normal..", ["No mass", "Normal"]),
    ('He said "clear." Then left.', ['He said "clear', '" Then left']),
    ("Left base, ? mass. Nodule?", ["Left base, ? mass", "Nodule?"]),
    ("No mass", ["No mass"]),
    (" \n\t ", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text, 0, len(text), lexicon())] == expected


def test_a_text_without_full_stops_is_cut_at_spaces_and_loses_no_word() -> None:
    text = "effusion and " * 1000
    pieces = [text[start:end] for start, end in sentences(text, 0, len(text), lexicon())]
    assert max(map(len, pieces)) <= LONGEST_SENTENCE
    assert " ".join(pieces).split() == text.split()
