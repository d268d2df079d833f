"""The books on disk: what is no pair of books of this vocabulary is refused with the reason."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from components.core.text.books import read_books
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

BOOK_PT, BOOK_AT = torch.rand(len(PATHOLOGIES), 12), torch.rand(len(ANATOMIES), 12)


def test_books_come_back_as_float32(tmp_path: Path) -> None:
    save_file({"pathologies": BOOK_PT.double(), "anatomies": BOOK_AT}, tmp_path / "books.safetensors")
    books = read_books(tmp_path / "books.safetensors")
    assert torch.equal(books.pathologies, BOOK_PT)
    assert torch.equal(books.anatomies, BOOK_AT)


@pytest.mark.parametrize(
    ("anatomies", "sentence"),
    [
        (torch.zeros(4, 12), "was made with another vocabulary"),
        (torch.zeros(len(ANATOMIES), 8), "holds books of two text encoders"),
        (torch.zeros(len(ANATOMIES)), r"anatomies must be finite floats \[terms, width\]"),
        (torch.zeros(len(ANATOMIES), 12, dtype=torch.long), r"anatomies must be finite floats \[terms, width\]"),
        (torch.full((len(ANATOMIES), 12), torch.nan), r"anatomies must be finite floats \[terms, width\]"),
        (torch.full((len(ANATOMIES), 12), torch.inf), r"anatomies must be finite floats \[terms, width\]"),
    ],
)
def test_books_that_do_not_fit_are_refused(tmp_path: Path, anatomies: torch.Tensor, sentence: str) -> None:
    save_file({"pathologies": BOOK_PT, "anatomies": anatomies}, tmp_path / "books.safetensors")
    with pytest.raises(ValueError, match=rf"books\.safetensors:? {sentence}.*: run knowledge again$"):
        read_books(tmp_path / "books.safetensors")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "books.safetensors"
    with pytest.raises(ValueError, match="does not exist: run knowledge first"):
        read_books(path)
    save_file({"pathologies": BOOK_PT}, path)
    with pytest.raises(ValueError, match="is corrupt or lacks a book"):
        read_books(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="is corrupt or lacks a book"):
        read_books(path)
