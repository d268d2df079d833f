"""Which findings a trained model answers for, and which places it knows for each.

`metrics.json` of a model's folder says under `terms` in how many training studies each finding was present and absent,
and where. Of a published checkpoint nobody knows that: its `terms` are null, it answers for the whole vocabulary, and
what it is worth only its figures on labelled images say.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.records.whole import read_json
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

NO_PLACE = frozenset({"unspecified", "other"})  # of the anatomies: they say nothing about where
UNKNOWN = {"terms": None}  # the metrics.json of a model whose training nobody knows


def terms_of_training(folder: Path) -> Mapping[str, Any] | None:
    """The counts of every pathology, as pretrain wrote them; None where the training is unknown.

    Args:
        folder: a model's folder.

    Raises:
        ValueError: its metrics.json is missing, or does not say what was seen.
    """
    path = folder / "metrics.json"
    content = read_json(path)
    terms = content.get("terms", ()) if isinstance(content, dict) else ()
    if terms is None:
        return None
    if not (isinstance(terms, dict) and terms.keys() == set(PATHOLOGIES) and all(map(_is_count, terms.values()))):
        raise ValueError(f"{path} does not say which findings the training saw: run pretrain again")
    return terms


def _is_count(term: Any) -> bool:
    """Whether it says in how many studies a finding was present and absent, and where."""
    if not (isinstance(term, dict) and term.keys() == {"present", "absent", "anatomies"}):
        return False
    places = term["anatomies"]
    counted = all(type(term[name]) is int and term[name] >= 0 for name in ("present", "absent"))
    return counted and isinstance(places, list) and all(isinstance(place, str) for place in places)


def served_pathologies(folder: Path) -> tuple[str, ...]:
    """The pathologies that training reports both assert and deny: no other was learned, and no other is served.

    All of them, where the training is unknown.

    Args:
        folder: a model's folder, as pretrain wrote it.

    Raises:
        ValueError: its metrics.json is missing, or does not say what was seen.
    """
    terms = terms_of_training(folder)
    return tuple(name for name in PATHOLOGIES if terms is None or (terms[name]["present"] and terms[name]["absent"]))


def known_places(folder: Path) -> dict[str, tuple[str, ...]]:
    """The anatomies where the training saw each pathology present, without those that name no place.

    All of them, where the training is unknown.

    Raises:
        ValueError: as `served_pathologies`.
    """
    terms = terms_of_training(folder)
    places = tuple(place for place in ANATOMIES if place not in NO_PLACE)
    return {
        name: tuple(place for place in places if terms is None or place in terms[name]["anatomies"])
        for name in PATHOLOGIES
    }
