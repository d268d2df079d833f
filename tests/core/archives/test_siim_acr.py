"""The SIIM-ACR Pneumothorax layout."""

from pathlib import Path

import pytest

from components.core.archives import Entry, Label, Mask, open_archive
from tests.archive_files import write_siim


def by_image(root: Path) -> dict[str, Entry]:
    return {entry.image: entry for entry in open_archive("siim_acr", str(root)).entries()}


def test_images_and_masks(tmp_path: Path) -> None:
    found = by_image(
        write_siim(tmp_path, [("i1", "2 3 4 1"), ("i1", "0 5"), ("i2", "-1"), ("gone", "-1")], ["i1", "i2", "i3"])
    )
    assert found["i1"] == Entry(
        uri="dicom-images-train/study-i1/series/i1.dcm", image="i1", study="study-i1", patient="study-i1",
        labels=(Label("pneumothorax", 1),),
        masks=tuple(Mask("pneumothorax", runs, 1024, 1024) for runs in ("2 3 9 1", "0 5")),
    )  # fmt: skip
    assert (found["i2"].labels, found["i2"].masks) == ((Label("pneumothorax", 0),), ())
    assert found["i3"].labels == (Label("pneumothorax", -1),)
    assert found["gone"].problem == "file_missing"


@pytest.mark.parametrize("runs", ["", "1 2 3", "a b", "-3 4", "1.5 2", f"{'9' * 5000} 1"])
def test_runs_that_mean_nothing(tmp_path: Path, runs: str) -> None:
    with pytest.raises(ValueError, match="row 1 below the header: the runs of a mask must be pairs of whole numbers"):
        by_image(write_siim(tmp_path, [("i1", runs)], ["i1"]))


@pytest.mark.parametrize("runs", [("-1", "2 3"), ("2 3", "-1")])
def test_an_image_with_a_mask_and_without_is_refused(tmp_path: Path, runs: tuple[str, str]) -> None:
    with pytest.raises(
        ValueError, match="row 2 below the header: an image has a mask, and -1, which says that it has none"
    ):
        by_image(write_siim(tmp_path, [("i1", one) for one in runs], ["i1"]))
