"""Finds what must not stand in any table after ingest: names of the archive, and dates."""

import re
from collections.abc import Iterator

import pandas as pd

SHORTEST_NAME = 3  # shorter ones would be found in every table: a patient "1", an image "PA"
PSEUDONYM = re.compile(r"[0-9a-f]{24}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MASK = "(masked)"

_TOKEN = re.compile(r"[0-9A-Za-z]+(?:[._-][0-9A-Za-z]+)*")
_DATE = re.compile(
    r"(?<![0-9A-Za-z.])(?:19|20)\d\d(?P<sign>[-./]?)(?:0[1-9]|1[0-2])(?P=sign)(?:0[1-9]|[12]\d|3[01])(?![0-9A-Za-z])"
    r"|(?<![0-9])(?:0?[1-9]|[12]\d|3[01])[./](?:0?[1-9]|[12]\d|3[01])[./](?:19|20)\d\d(?![0-9])"
)


def archive_names(inventory: pd.DataFrame) -> frozenset[str]:
    """The archive's own names of patients, studies and images, in lower case."""
    names = {name.lower() for column in ("patient", "study", "image") for name in inventory[column].dropna().unique()}
    return frozenset(name for name in names if len(name) >= SHORTEST_NAME)


def _forms(text: str) -> Iterator[str]:
    """The ways in which a text may hold a name: whole, as a word of it, without extension, after a p or s of a path."""
    yield text
    for token in _TOKEN.findall(text):
        for word in {token, token.rpartition(".")[0], *token.split("_")}:
            yield word
            if word[:1] in "ps" and word[1:].isdecimal():
                yield word[1:]


def what_identifies(value: str, names: frozenset[str]) -> str | None:
    """What a cell gives away: a name of the archive, a date, or None. A pseudonym or digest is compared as a whole."""
    text = value.lower()
    if PSEUDONYM.fullmatch(text) or SHA256.fullmatch(text):
        return "a name of the archive" if text in names else None
    if any(form in names for form in _forms(text)):
        return "a name of the archive"
    return "a date" if _DATE.search(value) else None


def identifying_cells(table: pd.DataFrame, names: frozenset[str]) -> pd.DataFrame:
    """What each text cell gives away, in the table's shape: None where it gives nothing away."""
    found = {}
    for column in table.columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            told = {value: what_identifies(str(value), names) for value in table[column].dropna().unique()}
            found[column] = [told.get(value) for value in table[column]]
    return pd.DataFrame(found, index=table.index, dtype=object)
