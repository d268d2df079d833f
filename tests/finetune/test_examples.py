import numpy as np
import pandas as pd
import pytest

from components.finetune.examples import Labelled, missing_classes, read_labelled, subset, subset_patients
from tests import evaluation_workspace as workspace

PATIENTS = [f"{number * 7919:024x}" for number in range(2000)]


def labelled(truth: list[int]) -> Labelled:
    images = pd.DataFrame({"image_id": range(len(truth)), "patient_id": PATIENTS[: len(truth)], "split": "train"})
    return Labelled(images, ("pneumonia",), np.array(truth, np.int8).reshape(-1, 1), (), {})


def test_subsets_nest_and_have_about_their_share() -> None:
    smaller, larger = (set(subset_patients(PATIENTS, share, seed=7)) for share in (0.1, 0.3))
    assert smaller < larger < set(PATIENTS)
    assert abs(len(smaller) - 200) < 50
    assert set(subset_patients(PATIENTS, 1.0, seed=7)) == set(PATIENTS)


def test_a_growing_archive_takes_nobody_out_of_a_subset() -> None:
    before = set(subset_patients(PATIENTS[:1000], 0.2, seed=7))
    assert before == set(subset_patients(PATIENTS, 0.2, seed=7)) & set(PATIENTS[:1000])


def test_another_seed_draws_other_patients() -> None:
    assert subset_patients(PATIENTS, 0.2, seed=7) != subset_patients(PATIENTS, 0.2, seed=8)


def test_all_images_of_a_patient_are_in_or_out() -> None:
    train = labelled([0, 1] * 100)
    train.images["patient_id"] = np.repeat(PATIENTS[:50], 4)
    counts = subset(train, 0.5, seed=7).images["patient_id"].value_counts()
    assert 10 < len(counts) < 40
    assert set(counts) == {4}


@pytest.mark.parametrize(
    ("train", "test", "needed", "reason"),
    [
        ([0, 0], [0] * 3 + [1] * 3, ("positive", "negative"), "no positive image among the 2 patients of the share"),
        ([1, -1], [0] * 3 + [1] * 3, ("positive", "negative"), "no negative image among the 2 patients of the share"),
        ([], [0] * 3 + [1] * 3, ("positive",), "no positive image among the 0 patients of the share"),
        (
            [0, 1],
            [0, 0, 0, 1, 1],
            ("positive", "negative"),
            "2 patients with a positive image in the test split, 3 are needed",
        ),
        ([1, 1], [1, 1, 1], ("positive",), None),
    ],
)
def test_a_class_without_a_figure_says_why(train: list[int], test: list[int], needed: tuple, reason: str) -> None:
    found = missing_classes(labelled(train), labelled(test), 3, needed)
    assert found == ({"pneumonia": reason} if reason else {})


def test_only_labelled_frontal_images_are_read(tmp_path) -> None:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 68, own_labels=True, drawn_truth=False)
    found = read_labelled(tmp_path / "data" / "images" / "rsna_pneumonia", "classification")
    assert found.classes == ("pneumonia",)
    assert len(found) == 64  # 4 are lateral
    assert set(found.images["view"]) == {"PA"}
    assert set(found.truth_NC.ravel().tolist()) == {0, 1}
    assert found.left_out == {"not_frontal": 4, "annotated_but_not_there": 0, "without_label": 0}


def test_a_dataset_without_labels_is_refused(tmp_path) -> None:
    workspace.write_dataset(tmp_path, "mimic_cxr", 20)
    with pytest.raises(ValueError, match="no labels of its own"):
        read_labelled(tmp_path / "data" / "images" / "mimic_cxr", "classification")
