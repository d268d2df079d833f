"""Which images are trained on, with which labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.core import paths
from components.core.records.labels import StudyLabels
from components.core.records.tables import read_table, write_table
from components.core.vocabulary import ANATOMIES, PATHOLOGIES, PATHOLOGY_INDEX
from components.pretrain.examples import Labels, read_examples, term_counts

IMAGES = paths.IMAGES / "mimic_cxr"
LABELS = paths.FINDINGS / "labels.npz"


def change_manifest(workspace: Path, change: object) -> Path:
    """A copy of the images' folder whose manifest was changed."""
    assert callable(change)
    images = workspace / "changed"
    images.mkdir()
    (images / "shard-00000.npy").symlink_to((workspace / IMAGES / "shard-00000.npy").resolve())
    manifest = read_table(workspace / IMAGES / "manifest.parquet", "manifest")
    write_table(images / "manifest.parquet", change(manifest), "manifest")
    return images


def test_frontal_images_of_the_two_splits_with_their_studies_labels(workspace: Path) -> None:
    examples = read_examples(IMAGES, LABELS, "ignore")
    assert len(examples.validate) == 20
    assert len(examples.train) == 59  # three fifths of 100, but for one lateral image
    assert examples.left_out == {"not_frontal": 1, "without_labels": 0}
    dense_BAP = StudyLabels.read(LABELS).dense(examples.train.studies)
    for study, labels_AP in zip(examples.train.studies, dense_BAP, strict=True):
        np.testing.assert_array_equal(examples.labels[study], labels_AP)


def test_images_without_labels_are_left_out_and_counted(workspace: Path) -> None:
    def rename(manifest: pd.DataFrame) -> pd.DataFrame:
        return manifest.assign(study_id=["unknown", *manifest["study_id"][1:]])

    examples = read_examples(change_manifest(workspace, rename), LABELS, "ignore")
    assert examples.left_out == {"not_frontal": 1, "without_labels": 1}
    assert len(examples.train) == 58


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: m.assign(split="train"), "the split validate has 0 frontal images with labels"),
        (lambda m: m.assign(view="LATERAL"), r"the split train has 0 frontal images .* \(left out: 80 not frontal"),
        (lambda m: m.assign(row=m["row"] + 5), "the manifest names row 103 of shard 0, which has 100 rows"),
        (lambda m: m.assign(row=m["row"] - 5), "the manifest names row -5 of shard 0, which has 100 rows"),
        (lambda m: m.assign(shard=7), "shard-00007.npy does not exist"),
    ],
)
def test_a_manifest_that_cannot_be_trained_on_is_refused(workspace: Path, change: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_examples(change_manifest(workspace, change), LABELS, "ignore")


def test_labels_that_decide_nothing_are_refused(workspace: Path) -> None:
    labels = StudyLabels.read(LABELS)
    unknown = workspace / "labels.npz"
    StudyLabels(labels.study_ids, labels.cells, np.full_like(labels.values, 2)).write(unknown)
    for meaning in ("ignore", "soft"):
        with pytest.raises(ValueError, match=r"labels\.npz has nothing present and nothing absent in the split train"):
            read_examples(IMAGES, unknown, meaning)
    read_examples(IMAGES, unknown, "absent")


def three_values(*values: int) -> StudyLabels:
    cells = np.array([[0, 3, 5], [0, 3, 6], [1, 4, 5]], np.int32)
    return StudyLabels(("first", "second"), cells, np.array(values, np.int8))


@pytest.mark.parametrize(("meaning", "value"), [("ignore", -1), ("present", 1), ("absent", 0), ("soft", 2)])
def test_uncertain_mentions_count_as_the_parameter_says(meaning: str, value: int) -> None:
    labels = Labels(three_values(1, 2, 0), meaning)
    assert labels["first"].shape == (len(ANATOMIES), len(PATHOLOGIES))
    assert labels["first"][3, 5:7].tolist() == [1, value]
    assert labels["second"][4, 5] == 0
    assert (labels["second"] == -1).sum() == len(ANATOMIES) * len(PATHOLOGIES) - 1


def test_labels_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="values other than 0, 1 and 2"):
        Labels(three_values(1, 3, 0), "ignore")
    outside = StudyLabels(("first",), np.array([[0, len(ANATOMIES), 0]], np.int32), np.array([1], np.int8))
    with pytest.raises(ValueError, match="do not exist"):
        Labels(outside, "ignore")
    twice = StudyLabels(("first", "first"), outside.cells[:0], outside.values[:0])
    with pytest.raises(ValueError, match="lists the study first twice"):
        Labels(twice, "ignore")


def test_a_term_counts_once_a_study(workspace: Path) -> None:
    examples = read_examples(IMAGES, LABELS, "ignore")
    counts = term_counts(examples.labels, examples.train)
    nodule = [examples.labels[study][:, PATHOLOGY_INDEX["nodule"]].max() for study in examples.train.studies]
    assert (counts["nodule"]["present"], counts["nodule"]["absent"]) == (nodule.count(1), nodule.count(0))
    assert counts["nodule"]["present"] + counts["nodule"]["absent"] == 59
    assert counts["hernia"] == {"present": 0, "absent": 0, "anatomies": []}


def test_the_anatomies_of_a_term_are_those_where_it_was_present(workspace: Path) -> None:
    examples = read_examples(IMAGES, LABELS, "ignore")
    counts = term_counts(examples.labels, examples.train)
    present_AP = np.any([examples.labels[study] == 1 for study in examples.train.studies], axis=0)
    for name in PATHOLOGIES:
        there = np.flatnonzero(present_AP[:, PATHOLOGY_INDEX[name]])
        assert counts[name]["anatomies"] == [ANATOMIES[place] for place in there]
