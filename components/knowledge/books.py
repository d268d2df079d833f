"""The two books on disk, and how well they tell their terms apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from components.core.paths import BOOKS
from components.core.records.whole import write_json
from components.core.tensors import write_tensors
from components.core.text.books import Books
from components.core.vocabulary import ANATOMIES, ANATOMY_PROMPT, DEFINITIONS, DISPLAY, PARTNERS, PATHOLOGIES

VERSION = "1"
NEAREST_SHOWN = 5


def cosines(book_NT: Tensor) -> np.ndarray:
    """The cosine of every two entries, float64 [N, N]."""
    unit_NT = functional.normalize(book_NT.double(), dim=-1)
    return (unit_NT @ unit_NT.T).numpy()


def book_figures(names: Sequence[str], book_NT: Tensor) -> dict[str, Any]:
    """How well a book tells its terms apart: the mean cosine of two different entries, and the nearest pairs."""
    cosine_NN = cosines(book_NT)
    first, second = np.triu_indices(len(names), k=1)
    pairwise = cosine_NN[first, second]
    nearest = np.argsort(-pairwise, kind="stable")[:NEAREST_SHOWN]
    return {
        "mean_pairwise_cosine": float(pairwise.mean()),
        "max_pairwise_cosine": float(pairwise.max()),
        "nearest": [
            {"pair": [names[first[place]], names[second[place]]], "cosine": float(pairwise[place])} for place in nearest
        ],
    }


def books_figures(books: Books) -> dict[str, Any]:
    """The figures of both books, and the mean cosine of an anatomy and its partner on the other side."""
    cosine_AA = cosines(books.anatomies)
    sides = [cosine_AA[index, partner] for index, partner in enumerate(PARTNERS) if index < partner]
    return {
        "pathologies": book_figures(PATHOLOGIES, books.pathologies),
        "anatomies": {
            **book_figures(ANATOMIES, books.anatomies),
            "mean_left_right_cosine": float(np.mean(sides)),
        },
    }


def write_books(folder: Path, books: Books, encoder: dict[str, Any]) -> None:
    """Write `books.safetensors` and `book.json`, which says what was encoded and by which encoder."""
    tensors = {"pathologies": books.pathologies.contiguous(), "anatomies": books.anatomies.contiguous()}
    # One key of metadata only: safetensors writes several in hash order, so that the bytes would differ.
    write_tensors(tensors, folder / BOOKS.name, {"schema_version": VERSION})
    content = {
        "schema_version": VERSION,
        "anatomy_prompt": ANATOMY_PROMPT,
        "encoder": encoder,
        **{
            kind: [{"name": name, "display": DISPLAY[name], "definition": DEFINITIONS[name]} for name in names]
            for kind, names in (("pathologies", PATHOLOGIES), ("anatomies", ANATOMIES))
        },
    }
    write_json(folder / "book.json", content)
