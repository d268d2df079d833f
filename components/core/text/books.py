"""The two books: what a text encoder makes of every pathology's definition and every anatomy's prompt."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from components.core.text.encoder import TextEncoder
from components.core.vocabulary import ANATOMIES, ANATOMY_PROMPT, DEFINITIONS, PATHOLOGIES


@dataclass(frozen=True)
class Books:
    """The entries in the order of the vocabulary: `pathologies` [P, T] and `anatomies` [A, T], float32."""

    pathologies: Tensor
    anatomies: Tensor


def make_books(encoder: TextEncoder, definitions: Mapping[str, str] = DEFINITIONS) -> Books:
    """Encode every definition, and "It is located at {name}." of every anatomy, once.

    Args:
        encoder: of the texts.
        definitions: of every pathology by its name; ours, or those that a model was trained with.

    Raises:
        ValueError: two entries are the same or an entry is not finite: the encoder cannot tell terms apart.
    """
    books = Books(
        encoder.encode([definitions[name] for name in PATHOLOGIES]),
        encoder.encode([ANATOMY_PROMPT.format(name=name) for name in ANATOMIES]),
    )
    for kind, book in (("pathologies", books.pathologies), ("anatomies", books.anatomies)):
        if not book.isfinite().all() or len(book.unique(dim=0)) < len(book):
            raise ValueError(f"the text encoder cannot tell all {kind} apart: give another one")
    return books
