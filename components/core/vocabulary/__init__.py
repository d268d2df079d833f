"""The 51 anatomies and 75 pathologies, in the order that label tensors and published weights use.

The lists stand in `anatomies.yaml` and `pathologies.yaml` beside this file and nowhere else.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


@cache
def terms(kind: str) -> tuple[dict[str, Any], ...]:
    """The entries of one list, `anatomies` or `pathologies`, with everything that is known of each term."""
    return tuple(yaml.load((FOLDER / f"{kind}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


ANATOMIES: tuple[str, ...] = tuple(term["name"] for term in terms("anatomies"))
PATHOLOGIES: tuple[str, ...] = tuple(term["name"] for term in terms("pathologies"))
ANATOMY_INDEX = {name: index for index, name in enumerate(ANATOMIES)}
PATHOLOGY_INDEX = {name: index for index, name in enumerate(PATHOLOGIES)}

# The anatomy on the other side of the body, by index; a midline anatomy is its own partner.
PARTNERS: tuple[int, ...] = tuple(ANATOMY_INDEX[term.get("partner", term["name"])] for term in terms("anatomies"))

# The pathologies that a single radiograph can decide: the only ones that enter macro figures.
VISIBLE: tuple[str, ...] = tuple(term["name"] for term in terms("pathologies") if term["visible"])
