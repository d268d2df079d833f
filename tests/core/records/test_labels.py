"""The label tensor: sparse on disk, the same dense, and never mixed up between studies."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.core.records.labels import ABSENT, NOT_MENTIONED, PRESENT, UNCERTAIN, StudyLabels
from components.core.vocabulary import ANATOMIES, ANATOMY_INDEX, PATHOLOGIES, PATHOLOGY_INDEX

PLEURA, HEART = ANATOMY_INDEX["left_pleural"], ANATOMY_INDEX["heart_size"]
EFFUSION, LARGE = PATHOLOGY_INDEX["effusion"], PATHOLOGY_INDEX["cardiomegaly"]
LABELS = StudyLabels(
    ("s1", "s2", "s3"),
    np.array([[0, PLEURA, EFFUSION], [2, HEART, LARGE], [2, PLEURA, EFFUSION]], np.int32),
    np.array([PRESENT, UNCERTAIN, ABSENT], np.int8),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    LABELS.write(tmp_path / "a.npz")
    again = StudyLabels.read(tmp_path / "a.npz")
    assert again.study_ids == LABELS.study_ids
    np.testing.assert_array_equal(again.cells, LABELS.cells)
    np.testing.assert_array_equal(again.values, LABELS.values)
    again.write(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_bytes_say_nothing_of_the_python_that_wrote_them(tmp_path: Path) -> None:
    LABELS.write(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        heads = {(info.create_version, info.extract_version, info.extra) for info in archive.infolist()}
    assert heads == {(zipfile.DEFAULT_VERSION, zipfile.DEFAULT_VERSION, b"")}


def test_the_dense_tensor_follows_the_order_asked_for() -> None:
    labels_BAP = LABELS.dense(["s3", "s2", "s1", "s3"])
    assert labels_BAP.shape == (4, len(ANATOMIES), len(PATHOLOGIES))
    for place in (0, 3):
        assert labels_BAP[place, HEART, LARGE] == UNCERTAIN
        assert labels_BAP[place, PLEURA, EFFUSION] == ABSENT
    assert labels_BAP[2, PLEURA, EFFUSION] == PRESENT
    assert (labels_BAP[1] == NOT_MENTIONED).all()
    assert (labels_BAP != NOT_MENTIONED).sum() == 5


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(ValueError, match="2 studies have no labels, the first is s8"):
        LABELS.dense(["s1", "s8", "s9"])


def test_no_study_at_all_is_fine(tmp_path: Path) -> None:
    StudyLabels((), np.zeros((0, 3), np.int32), np.zeros(0, np.int8)).write(tmp_path / "a.npz")
    assert StudyLabels.read(tmp_path / "a.npz").dense([]).shape == (0, len(ANATOMIES), len(PATHOLOGIES))


def test_another_vocabulary_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.npz does not exist: run reports first"):
        StudyLabels.read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", version=np.int64(1), shape=np.array([50, 75]))
    with pytest.raises(ValueError, match="was written with another vocabulary or schema version: run reports again"):
        StudyLabels.read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"study_ids": np.arange(3)}, "has study ids that are no texts"),
        ({"cells": LABELS.cells.astype(np.float32)}, "has cells of type float32, where whole numbers are expected"),
        ({"values": LABELS.values == PRESENT}, "has values of type bool, where whole numbers are expected"),
        ({"values": np.array(PRESENT), "cells": LABELS.cells[0]}, r"has values \(\) for cells \(3,\)"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], sentence: str) -> None:
    path = tmp_path / "a.npz"
    LABELS.write(path)
    with np.load(path) as arrays:
        tables = dict(arrays)
    np.savez(path, **{**tables, **changes})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"a\.npz {sentence}: run reports again$"):
        StudyLabels.read(path)


def test_labels_that_say_two_things_of_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="the label tensor lists the study s1 twice"):
        replace(LABELS, study_ids=("s1", "s2", "s1")).dense(["s1"])
    with pytest.raises(ValueError, match=rf"lists the cell \[0, {PLEURA}, {EFFUSION}\] .* twice"):
        replace(LABELS, cells=LABELS.cells[[0, 1, 0]]).dense(["s1"])


@pytest.mark.parametrize("fault", ["cut short", "empty", "no archive", "a table lost", "a value lost"])
def test_a_corrupt_file_is_named(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "a.npz"
    LABELS.write(path)
    whole = path.read_bytes()
    with np.load(path) as arrays:
        tables = dict(arrays)
    if fault == "a table lost":
        del tables["cells"]
        np.savez(path, **tables)
    elif fault == "a value lost":
        np.savez(path, **{**tables, "values": tables["values"][1:]})
    else:
        path.write_bytes({"cut short": whole[:-200], "empty": b"", "no archive": b"labels"}[fault])
    with pytest.raises(ValueError, match=r"a\.npz (is corrupt or cut short|has values \(2,\)).*: run reports again$"):
        StudyLabels.read(path)
