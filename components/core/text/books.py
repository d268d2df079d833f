"""The two books: what a text encoder makes of every pathology's definition and every anatomy's prompt."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
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


def read_books(path: Path) -> Books:
    """Read what the stage knowledge wrote.

    Raises:
        ValueError: the file is missing or corrupt, a book is not of finite floats, or they do not fit the vocabulary or
            each other.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run knowledge first")
    try:
        content = load_file(path)
        pathologies_PT, anatomies_AT = content["pathologies"], content["anatomies"]
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is corrupt or lacks a book: {error}") from None
    for name, book in (("pathologies", pathologies_PT), ("anatomies", anatomies_AT)):
        if book.ndim != 2 or not book.is_floating_point() or not book.isfinite().all():
            raise ValueError(f"{path}: {name} must be finite floats [terms, width]: run knowledge again")
    if (len(pathologies_PT), len(anatomies_AT)) != (len(PATHOLOGIES), len(ANATOMIES)):
        raise ValueError(f"{path} was made with another vocabulary: run knowledge again")
    if pathologies_PT.shape[1] != anatomies_AT.shape[1]:
        raise ValueError(f"{path} holds books of two text encoders, their widths differ: run knowledge again")
    return Books(pathologies_PT.float(), anatomies_AT.float())
