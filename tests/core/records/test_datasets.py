"""An ingested dataset's tables: what no evaluation may stand on is refused in a sentence."""

from pathlib import Path
from typing import Any

import pytest

from components.core.records.datasets import read_annotations, read_manifest
from components.core.records.tables import read_table, write_table
from tests import evaluation_workspace as workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 20, own_labels=True)
    return tmp_path / "data" / "images" / "rsna_pneumonia"


def change(folder: Path, table: str, column: str, value: Any, kind: str | None = None) -> None:
    """Put a value into a column of the first row, or of the first row of an annotation's kind."""
    content = read_table(folder / f"{table}.parquet", table)
    row = content.index[0] if kind is None else content.index[content["kind"] == kind][0]
    content.loc[row, column] = value
    write_table(folder / f"{table}.parquet", content, table)


def test_tables_that_are_right_are_read(folder: Path) -> None:
    assert len(read_manifest(folder)) == 20
    assert {"label", "box"} <= set(read_annotations(folder)["kind"])


@pytest.mark.parametrize(
    ("column", "of_the_last", "sentence"),
    [
        ("image_id", True, "names an image twice"),
        ("patient_id", False, "has an image without a patient"),
        ("patient_id", True, "1 patients are in several splits"),
    ],
)
def test_a_manifest_that_spoils_a_test_is_refused(folder: Path, column: str, of_the_last: bool, sentence: str) -> None:
    manifest = read_table(folder / "manifest.parquet", "manifest")
    other = manifest[manifest["split"] != manifest["split"].iloc[0]].iloc[-1]
    change(folder, "manifest", column, other[column] if of_the_last else None)
    with pytest.raises(ValueError, match=sentence):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("kind", "column", "value", "sentence"),
    [
        ("label", "value", 5, "a label that is none of -1, 0 and 1"),
        ("box", "width", float("inf"), "a box that is not finite"),
    ],
)
def test_annotations_that_say_nothing_are_refused(
    folder: Path, kind: str, column: str, value: object, sentence: str
) -> None:
    change(folder, "annotations", column, value, kind)
    with pytest.raises(ValueError, match=sentence):
        read_annotations(folder)


def test_a_mask_without_pixels_is_refused(folder: Path) -> None:
    change(folder, "annotations", "kind", "mask", "box")
    with pytest.raises(ValueError, match="a mask without pixels"):
        read_annotations(folder)
