"""The small grammar of filled templates: variants, enumerations, articles, spaces, capitals and full stops."""

import re
from collections.abc import Sequence

import numpy as np


def one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """One of some variants."""
    return choices[int(rng.integers(len(choices)))]


def finish(sentence: str) -> str:
    """Settle articles, spaces, the capital letter and the full stop of a filled template."""
    sentence = " ".join(sentence.split())
    sentence = re.sub(r"\s+([,.;:])", r"\1", sentence)
    sentence = re.sub(r"\b([Aa])\(n\) +(?=(\W*\w+))", _article, sentence)
    sentence = sentence[0].upper() + sentence[1:]
    return sentence if sentence[-1] in ".?:" else sentence + "."


def _article(match: re.Match[str]) -> str:
    word = match.group(2).strip("\"'(")
    spelled = word.isupper() and len(word) > 1
    vowel = word[0] in "AEFHILMNORSX" if spelled else word[0].lower() in "aeiou"
    return match.group(1) + ("n " if vowel else " ")


def join(phrases: Sequence[str], conjunction: str = " and ") -> str:
    """A, B and C."""
    return conjunction.join(filter(None, [", ".join(phrases[:-1]), phrases[-1]]))
