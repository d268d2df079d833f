import numpy as np
import pandas as pd

from components.core.records.labels import StudyLabels
from components.core.records.tables import DRAWN, write_table
from components.core.vocabulary import PATHOLOGY_INDEX
from components.zero_shot.truth import Drawn, drawn_truth, label_truth, read_drawn, report_truth

NAMES = ("effusion", "nodule")


def drawn(*rows: tuple[str, str, float, str]) -> Drawn:
    columns = ["image_id", "pathology", "severity", "grade"]
    return Drawn(pd.DataFrame(rows, columns=columns), frozenset({"a", "b", "c"}))


def test_lesser_findings_are_neither_positive_nor_negative() -> None:
    findings = drawn(
        ("a", "effusion", 0.7, "moderate"), ("b", "effusion", 0.3, "mild"), ("b", "nodule", 0.5, "moderate")
    )
    truth = drawn_truth(findings, ["a", "b", "c", "unknown to the phantom"], NAMES, min_severity=0.5)
    assert truth.truth_NC.tolist() == [[1, 0], [-1, 1], [0, 0], [-1, -1]]


def test_the_severest_part_of_a_finding_decides() -> None:
    findings = drawn(("a", "effusion", 0.2, "subtle"), ("a", "effusion", 0.9, "severe"), ("a", "effusion", 0.4, "mild"))
    truth = drawn_truth(findings, ["a"], NAMES, min_severity=0.5)
    assert truth.truth_NC[0, 0] == 1
    assert truth.severity_NC[0, 0] == 0.9
    assert truth.grade_NC[0, 0] == "severe"
    assert np.isnan(truth.severity_NC[0, 1])


def test_phantoms_are_found_by_digest_whatever_their_folder_is_called(tmp_path) -> None:
    for folder, digest in (("one", "d1"), ("two", "d2")):
        image = {
            "source_sha256": digest,
            "image": "i",
            "study": "s",
            "patient": "p",
            "view": "PA",
            "rows": 9,
            "columns": 9,
        }
        finding = dict.fromkeys(DRAWN.names) | {"source_sha256": digest, "pathology": folder, "severity": 0.6}
        write_table(tmp_path / folder / "images.parquet", [image], "drawn_images")
        write_table(tmp_path / folder / "drawn.parquet", [finding], "drawn")
    manifest = pd.DataFrame(
        {"source_sha256": ["d2", "d9"], "image_id": ["mine", "not drawn"], "affine": [[1.0], [1.0]]}
    )
    found = read_drawn(tmp_path, manifest)
    assert found is not None
    assert found.image_ids == {"mine"}
    assert found.findings["pathology"].tolist() == ["two"]
    assert read_drawn(tmp_path, manifest.iloc[1:]) is None
    assert read_drawn(tmp_path / "no such folder", manifest) is None


def test_a_report_says_present_before_absent_and_an_uncertain_mention_says_nothing() -> None:
    effusion, nodule = (PATHOLOGY_INDEX[name] for name in NAMES)
    cells = [[0, 0, effusion], [0, 5, effusion], [1, 0, effusion], [1, 3, effusion], [2, 0, nodule]]
    labels = StudyLabels(("s0", "s1", "s2"), np.array(cells, np.int32), np.array([0, 1, 0, 2, 2], np.int8))
    truth = report_truth(labels, ["s1", "s0", "s2", "s without report", "s0"], NAMES)
    assert truth.truth_NC.tolist() == [[0, -1], [1, -1], [-1, -1], [-1, -1], [1, -1]]


def test_labels_of_the_dataset_are_taken_as_they_are() -> None:
    rows = [("a", "label", "pneumonia", 1), ("b", "label", "pneumonia", 0), ("c", "label", "pneumonia", -1),
            ("b", "box", "pneumonia", 1), ("b", "label", "another", 1)]  # fmt: skip
    annotations = pd.DataFrame(rows, columns=["image_id", "kind", "name", "value"])
    truth = label_truth(annotations, ["c", "b", "a", "d"], ("pneumonia",))
    assert truth.truth_NC[:, 0].tolist() == [-1, 0, 1, -1]
