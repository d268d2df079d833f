"""The RSNA Pneumonia layout."""

from pathlib import Path

import pytest

from components.core.archives import Box, Entry, Label, open_archive
from tests.archive_files import BOXES, write, write_rsna
from tests.dicom_files import chest, radiograph


def by_image(root: Path) -> dict[str, Entry]:
    return {entry.image: entry for entry in open_archive("rsna_pneumonia", str(root)).entries()}


def test_labels_and_boxes_of_a_patient(tmp_path: Path) -> None:
    found = by_image(write_rsna(tmp_path))
    assert found["00436515"] == Entry(
        uri="stage_2_train_images/00436515.dcm",
        image="00436515",
        study="00436515",
        patient="00436515",
        labels=(Label("pneumonia", 1),),
        boxes=(Box("pneumonia", 10, 12, 8, 20), Box("pneumonia", 25, 14, 9, 18)),
    )
    assert found["0004cfab"].labels == (Label("pneumonia", 0),)
    assert found["0004cfab"].boxes == ()


def test_images_that_the_labels_do_not_list_and_labels_without_an_image(tmp_path: Path) -> None:
    write_rsna(tmp_path)
    (tmp_path / "stage_2_train_images/0004cfab.dcm").unlink()
    write(tmp_path, "stage_2_train_images/99999999.dcm", radiograph(chest(bits=8), bits=8))
    found = by_image(tmp_path)
    assert len(found) == 4
    assert found["0004cfab"].problem == "file_missing"
    assert (found["99999999"].labels, found["99999999"].problem) == ((Label("pneumonia", -1),), None)


def test_a_patient_name_that_points_outside_the_root(tmp_path: Path) -> None:
    write(tmp_path, "secret.dcm", radiograph(chest()))
    root = tmp_path / "archive"
    write_rsna(root)
    write(root, "stage_2_train_labels.csv", "patientId,x,y,width,height,Target\n../../secret,,,,,0\n")
    assert by_image(root)["../../secret"].problem == "outside"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("a", "", "", "", "", "yes"), "row 5 below the header, holds another Target than 0 and 1"),
        (("a", "one", 2, 3, 4, 1), "not four numbers"),
        (("a", 1, "", 3, 4, 1), "not four numbers"),
        (("a", "", 2, 3, 4, 1), "not four numbers"),
        (("a", "", "", "", "", 1), "Target 1 without a box"),
        (("a", 1, 2, 3, 4, 0), "a box with Target 0"),
        (("a", 1, 2, 0, 4, 1), "without an area"),
        (("a", "nan", 2, 3, 4, 1), "without an area"),
        (("00436515", "", "", "", "", 0), "gives a patient the other Target"),
    ],
)
def test_rows_that_mean_nothing_are_told_in_a_sentence(tmp_path: Path, row: tuple[object, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        by_image(write_rsna(tmp_path, [*BOXES, row]))


def test_missing_labels_are_named(tmp_path: Path) -> None:
    (write_rsna(tmp_path) / "stage_2_train_labels.csv").unlink()
    with pytest.raises(ValueError, match=r"has no table stage_2_train_labels\.csv"):
        by_image(tmp_path)
