"""Which findings a trained model answers for, and which places it knows for each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.records.whole import read_json
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

NO_PLACE = frozenset({"unspecified", "other"})  # of the anatomies: they say nothing about where


def _seen(folder: Path) -> Mapping[str, Any]:
    path = folder / "metrics.json"
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("terms"), dict):
        raise ValueError(f"{path} does not say which findings the training saw: run pretrain again")
    terms: Mapping[str, Any] = content["terms"]
    return terms


def served_pathologies(folder: Path) -> tuple[str, ...]:
    """The pathologies that training reports both assert and deny: no other was learned, and no other is served.

    Args:
        folder: a model's folder, as pretrain wrote it.

    Raises:
        ValueError: its metrics.json is missing, or does not say what was seen.
    """
    terms = _seen(folder)
    return tuple(name for name in PATHOLOGIES if terms[name]["present"] and terms[name]["absent"])


def known_places(folder: Path) -> dict[str, tuple[str, ...]]:
    """The anatomies where the training saw each pathology present, without those that name no place.

    Raises:
        ValueError: as `served_pathologies`.
    """
    terms = _seen(folder)
    return {
        name: tuple(place for place in ANATOMIES if place in terms[name]["anatomies"] and place not in NO_PLACE)
        for name in PATHOLOGIES
    }
