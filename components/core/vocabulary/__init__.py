"""The 51 anatomies and 75 pathologies, in the order that label tensors and published weights use.

The lists stand in `anatomies.yaml` and `pathologies.yaml` beside this file and nowhere else.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent

# The sentence by which the text encoder knows an anatomy (arXiv 2403.10635, as published).
ANATOMY_PROMPT = "It is located at {name}."


@cache
def _data(name: str) -> Any:
    """The content of a data file of this folder."""
    return yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def terms(kind: str) -> tuple[dict[str, Any], ...]:
    """The entries of one list, `anatomies` or `pathologies`, with everything that is known of each term."""
    return tuple(_data(kind))


ANATOMIES: tuple[str, ...] = tuple(term["name"] for term in terms("anatomies"))
PATHOLOGIES: tuple[str, ...] = tuple(term["name"] for term in terms("pathologies"))
ANATOMY_INDEX = {name: index for index, name in enumerate(ANATOMIES)}
PATHOLOGY_INDEX = {name: index for index, name in enumerate(PATHOLOGIES)}

# What each term means, by name: for a pathology, how it looks on a radiograph too.
DEFINITIONS: dict[str, str] = {
    term["name"]: term["definition"] for kind in ("pathologies", "anatomies") for term in terms(kind)
}

# The name of each term for people, such as "left lower lobe" for lower_left_lobe.
DISPLAY: dict[str, str] = {
    term["name"]: term.get("display", term["name"]) for kind in ("pathologies", "anatomies") for term in terms(kind)
}

# The anatomy on the other side of the body, by index; a midline anatomy is its own partner.
PARTNERS: tuple[int, ...] = tuple(ANATOMY_INDEX[term.get("partner", term["name"])] for term in terms("anatomies"))

# The pathologies that a single radiograph can decide: the only ones that enter macro figures.
VISIBLE: tuple[str, ...] = tuple(term["name"] for term in terms("pathologies") if term["visible"])

_WITHIN: dict[str, tuple[str, ...]] = {term["name"]: tuple(term.get("within", ())) for term in terms("anatomies")}


def wider_places(anatomy: str) -> frozenset[str]:
    """Every anatomy that wholly holds the given one, near and far: the right apex lies in the right lung.

    Raises:
        KeyError: the anatomy is not one of the 51.
    """
    nearest = _WITHIN[anatomy]
    return frozenset(nearest).union(*(wider_places(place) for place in nearest))


def class_map(layout: str) -> dict[str, tuple[str, ...]]:
    """The pathologies that each class of a published dataset stands for.

    Raises:
        ValueError: the layout has no classes of its own.
    """
    maps = _data("class_maps")
    if layout not in maps:
        raise ValueError(f"the layout {layout!r} has no class map (those that have one: {', '.join(maps)})")
    return {name: tuple(pathologies) for name, pathologies in maps[layout].items()}
