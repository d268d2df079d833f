"""The phantom stage: archives in the published layouts, their truth beside them, the same bytes from any processes."""

import csv
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml

from components.core import paths
from components.core.archives import Entry, open_archive
from components.core.params import Params, validate
from components.core.records.masks import mask_of
from components.core.records.tables import read_table
from components.phantom import nih_cxr14
from components.phantom.mimic_cxr import SPLITS, TABLES
from components.phantom.rsna_pneumonia import OPACITIES, OPACITY_SHARE
from components.phantom.scanner import scanners
from components.phantom.stage import archives, make_archive, run

STUDIES = {"mimic_cxr": 30, "rsna_pneumonia": 24, "nih_cxr14": 20, "siim_acr": 12, "covidx_cxr4": 20}
IMAGES = (".dcm", ".png", ".jpg")


def params_of(repository: Path, **changes: Any) -> Params:
    content = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    content["phantom"].update(studies=STUDIES, pixels=128)
    content["datasets"].update(changes.pop("datasets", {}))
    content["phantom"].update(changes)
    return validate(content)


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def made_in(folder: Path, params: Params, workers: int) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MEDSLIP_WORKERS", str(workers))
        return run(params, "")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "figures.json").write_text(json.dumps(made_in(folder, params_of(repository), workers=1)))
    return folder


@pytest.fixture
def mimic(workspace: Path) -> Path:
    return workspace / paths.PHANTOM_ARCHIVES / "mimic_cxr"


@pytest.fixture
def rsna(workspace: Path) -> Path:
    return workspace / paths.PHANTOM_ARCHIVES / "rsna_pneumonia"


def truth_of(workspace: Path, dataset: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    folder = workspace / paths.PHANTOM_TRUTH / dataset
    kinds = (("drawn", "drawn"), ("images", "drawn_images"), ("asserted", "asserted"))
    drawn, images, asserted = (read_table(folder / f"{name}.parquet", schema) for name, schema in kinds)
    return drawn, images, asserted


def rows_of(path: Path) -> list[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(content.decode().splitlines()))


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(workspace: Path, repository: Path, tmp_path: Path) -> None:
    made_in(tmp_path, params_of(repository), workers=2)
    assert tree(tmp_path / "data") == tree(workspace / "data")
    assert tree(tmp_path / "plots") == tree(workspace / "plots")


def test_another_seed_gives_another_archive(rsna: Path, repository: Path, tmp_path: Path) -> None:
    params = params_of(repository, seed=8, studies={"rsna_pneumonia": 8})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDSLIP_WORKERS", "1")
        make_archive(params, "rsna_pneumonia", "rsna_pneumonia", tmp_path)
    assert len(tree(tmp_path)) == 8 + 2
    assert not set(tree(tmp_path).values()) & set(tree(rsna).values())


def test_the_tables_of_mimic_have_the_published_columns_and_agree(mimic: Path) -> None:
    tables = {name: rows_of(mimic / name) for name in TABLES}
    for name, columns in TABLES.items():
        assert tuple(tables[name][0]) == columns
    records = tables["cxr-record-list.csv.gz"]
    studies = tables["cxr-study-list.csv.gz"]
    for row in records:
        subject, study = f"p{row['subject_id']}", f"s{row['study_id']}"
        assert row["path"] == f"files/{subject[:3]}/{subject}/{study}/{row['dicom_id']}.dcm"
        assert re.fullmatch(r"([0-9a-f]{8}-){4}[0-9a-f]{8}", row["dicom_id"])
        assert (mimic / row["path"]).is_file()
    assert len(studies) == len({row["study_id"] for row in records}) == STUDIES["mimic_cxr"]
    assert all((mimic / row["path"]).read_text(encoding="utf-8").strip() for row in studies)
    listed = {row["path"] for row in [*records, *studies]} | set(TABLES)
    assert listed == set(tree(mimic))
    names = {row["dicom_id"] for row in records}
    assert names == {row["dicom_id"] for row in tables["mimic-cxr-2.0.0-metadata.csv.gz"]}
    assert names == {row["dicom_id"] for row in tables["mimic-cxr-2.0.0-split.csv.gz"]}


def test_the_metadata_are_those_of_the_objects(mimic: Path) -> None:
    paths_of = {row["dicom_id"]: row["path"] for row in rows_of(mimic / "cxr-record-list.csv.gz")}
    for row in rows_of(mimic / "mimic-cxr-2.0.0-metadata.csv.gz"):
        dataset = pydicom.dcmread(mimic / paths_of[row["dicom_id"]], stop_before_pixels=True)
        assert (str(dataset.Rows), str(dataset.Columns)) == (row["Rows"], row["Columns"])
        assert dataset.ViewPosition == row["ViewPosition"]
        assert (dataset.StudyDate, dataset.StudyTime) == (row["StudyDate"], row["StudyTime"])


def test_a_patient_is_in_one_split_and_each_split_has_patients(mimic: Path) -> None:
    splits: dict[str, set[str]] = {}
    for row in rows_of(mimic / "mimic-cxr-2.0.0-split.csv.gz"):
        splits.setdefault(row["subject_id"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == set(SPLITS)


def test_the_adapters_list_all_of_it_without_a_problem(workspace: Path) -> None:
    for layout in STUDIES:
        entries = list(open_archive(layout, str(workspace / paths.PHANTOM_ARCHIVES / layout)).entries())
        assert not [entry for entry in entries if entry.problem]
        _, images, asserted = truth_of(workspace, layout)
        assert {(entry.image, entry.study, entry.patient) for entry in entries} == set(
            images[["image", "study", "patient"]].itertuples(index=False, name=None)
        )
        assert set(asserted["study"]) <= {entry.study for entry in entries}


@pytest.mark.parametrize("dataset", STUDIES)
def test_the_truth_names_the_files_by_their_digest_and_marks_the_boxes(workspace: Path, dataset: str) -> None:
    drawn, images, _ = truth_of(workspace, dataset)
    files = tree(workspace / paths.PHANTOM_ARCHIVES / dataset)
    assert set(images["source_sha256"]) == {digest for uri, digest in files.items() if uri.endswith(IMAGES)}
    sizes = images.set_index("source_sha256")
    assert set(drawn["source_sha256"]) <= set(sizes.index)
    for row in drawn.itertuples():
        mask_HW = cv2.imdecode(np.frombuffer(row.mask_png, np.uint8), cv2.IMREAD_GRAYSCALE)
        size = sizes.loc[row.source_sha256]
        assert mask_HW.shape == (size["rows"], size["columns"])
        assert set(np.unique(mask_HW)) == {0, 255}
        x, y, width, height = cv2.boundingRect(mask_HW)
        assert (row.x, row.y, row.width, row.height) == (x, y, width, height)


def test_nothing_of_the_truth_lies_in_the_archive(mimic: Path, rsna: Path) -> None:
    assert {Path(uri).suffix for uri in tree(mimic)} == {".dcm", ".txt", ".gz"}
    assert {Path(uri).suffix for uri in tree(rsna)} == {".dcm", ".csv"}


def test_rsna_has_the_published_tables_and_boxes_what_was_drawn(rsna: Path, workspace: Path) -> None:
    labels, classes = rows_of(rsna / "stage_2_train_labels.csv"), rows_of(rsna / "stage_2_detailed_class_info.csv")
    assert tuple(labels[0]) == ("patientId", "x", "y", "width", "height", "Target")
    assert tuple(classes[0]) == ("patientId", "class")
    assert [row["patientId"] for row in labels] == [row["patientId"] for row in classes]
    drawn, images, _ = truth_of(workspace, "rsna_pneumonia")
    size = {row.patient: (row.columns, row.rows) for row in images.itertuples()}
    opacities = drawn[drawn["pathology"].isin(OPACITIES)]
    boxes: dict[str, list[tuple[float, ...]]] = {name: [] for name in size}
    for row in labels:
        assert bool(row["x"]) == (row["Target"] == "1")
        if row["x"]:
            x, y, width, height = (float(row[column]) for column in ("x", "y", "width", "height"))
            columns, rows = size[row["patientId"]]
            assert 0 <= x < x + width <= columns
            assert 0 <= y < y + height <= rows
            boxes[row["patientId"]].append((x, y, width, height))
    for name, found in boxes.items():
        rows = opacities[opacities["patient"] == name]
        assert sorted(found) == sorted(rows[["x", "y", "width", "height"]].itertuples(index=False, name=None))


def test_rsna_classes_say_what_was_drawn(rsna: Path, workspace: Path) -> None:
    drawn, images, _ = truth_of(workspace, "rsna_pneumonia")
    classes = {row["patientId"]: row["class"] for row in rows_of(rsna / "stage_2_detailed_class_info.csv")}
    for name in images["patient"]:
        found = set(drawn.loc[drawn["patient"] == name, "pathology"])
        expected = "Lung Opacity" if found & OPACITIES else "No Lung Opacity / Not Normal" if found else "Normal"
        assert classes[name] == expected
    share = sum(kind == "Lung Opacity" for kind in classes.values()) / len(classes)
    assert abs(share - OPACITY_SHARE) < 0.3


def entries_of(workspace: Path, layout: str) -> dict[str, Entry]:
    root = workspace / paths.PHANTOM_ARCHIVES / layout
    return {entry.image: entry for entry in open_archive(layout, str(root)).entries()}


def test_nih_labels_and_boxes_say_what_was_drawn_and_no_patient_is_in_two_lists(workspace: Path) -> None:
    drawn, _, _ = truth_of(workspace, "nih_cxr14")
    entries = entries_of(workspace, "nih_cxr14")
    splits: dict[str, set[str | None]] = {}
    for name, entry in entries.items():
        rows = drawn[drawn["image"] == name]
        expected = {nih_cxr14.CLASSES[pathology] for pathology in rows["pathology"]}
        assert {label.name for label in entry.labels if label.value} == expected
        drawn_boxes = {(nih_cxr14.CLASSES[row.pathology], row.x, row.y, row.width, row.height)
                       for row in rows.itertuples()}  # fmt: skip
        assert {(box.name, box.x, box.y, box.width, box.height) for box in entry.boxes} <= drawn_boxes
        splits.setdefault(entry.patient, set()).add(entry.split)
    assert any(entry.boxes for entry in entries.values())
    assert sorted(map(sorted, splits.values()))[0] == ["not_test"]
    assert {"test"} in splits.values()
    assert all(len(found) == 1 for found in splits.values())


def test_siim_masks_are_what_was_drawn(workspace: Path) -> None:
    drawn, images, _ = truth_of(workspace, "siim_acr")
    assert set(images["rows"]) | set(images["columns"]) == {1024}
    entries, several = entries_of(workspace, "siim_acr"), 0
    for name, entry in entries.items():
        rows = drawn[(drawn["image"] == name) & (drawn["pathology"] == "pneumothorax")]
        assert bool(len(rows)) == bool(entry.masks) == bool(entry.labels[0].value)
        if entry.masks:
            several += len(entry.masks) > 1
            written = np.maximum.reduce([mask_of(mask.runs, 1024, 1024) for mask in entry.masks])
            truth = np.maximum.reduce([cv2.imdecode(np.frombuffer(png, np.uint8), 0) for png in rows["mask_png"]])
            assert (written != truth).sum() <= 0.01 * (truth > 0).sum()  # but for specks
    assert several


def test_covidx_holds_a_disease_that_no_other_archive_shows(workspace: Path) -> None:
    assert not any("covid" in set(truth_of(workspace, name)[0]["pathology"]) for name in STUDIES if "covid" not in name)
    drawn, _, _ = truth_of(workspace, "covidx_cxr4")
    entries = entries_of(workspace, "covidx_cxr4")
    positive = {name for name, entry in entries.items() if entry.labels[0].value}
    assert set(drawn.loc[drawn["pathology"] == "covid", "image"]) == positive
    of_origin = {
        origin: {e.labels[0].value for e in entries.values() if e.origin == origin} for origin in ("ricord", "rsna")
    }
    assert of_origin == {"ricord": {1}, "rsna": {0}}
    assert {entry.split for entry in entries.values()} == {"train", "validate", "test"}


def test_each_archive_has_scanners_of_its_own() -> None:
    models = {layout: {unit.model for unit in scanners(layout)} for layout in STUDIES}
    assert sum(map(len, models.values())) == len(set.union(*models.values()))


def test_the_receipt_tells_one_archive_from_another(workspace: Path) -> None:
    receipt = json.loads((workspace / paths.PHANTOM_RECEIPT).read_text(encoding="utf-8"))
    assert {name: (entry["layout"], entry["studies"]) for name, entry in receipt.items()} == {
        name: (name, count) for name, count in STUDIES.items()
    }
    for name, entry in receipt.items():
        files = tree(workspace / paths.PHANTOM_ARCHIVES / name)
        lines = "".join(f"{uri} {digest}\n" for uri, digest in sorted(files.items()))
        assert entry["digest"] == hashlib.sha256(lines.encode()).hexdigest()
        assert entry["images"] == sum(uri.endswith(IMAGES) for uri in files)


def test_the_figures_count_what_is_there(workspace: Path) -> None:
    figures = json.loads((workspace / "figures.json").read_text())
    for dataset, counted in figures.items():
        drawn, images, _ = truth_of(workspace, dataset)
        assert counted["images"] == len(images) == sum(counted["views"].values()) == sum(counted["codecs"].values())
        assert sum(sum(grades.values()) for grades in counted["drawn"].values()) == len(drawn)
        assert counted["images_without_findings"] == len(set(images["source_sha256"]) - set(drawn["source_sha256"]))


def test_the_contact_sheet_is_a_picture(workspace: Path) -> None:
    sheet = cv2.imread(str(workspace / "plots/phantom/contact_sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert sheet is not None
    assert sheet.std() > 20


@pytest.fixture
def elsewhere() -> dict[str, Any]:
    return {name: {"layout": name, "root": f"/archives/{name}"} for name in STUDIES}


def test_without_a_phantom_dataset_everything_is_there_and_empty(
    repository: Path, tmp_path: Path, elsewhere: dict[str, Any]
) -> None:
    assert made_in(tmp_path, params_of(repository, datasets=elsewhere), workers=1) == {}
    assert json.loads((tmp_path / paths.PHANTOM_RECEIPT).read_text(encoding="utf-8")) == {}
    for folder in (paths.PHANTOM_ARCHIVES, paths.PHANTOM_TRUTH, Path("plots/phantom")):
        assert (tmp_path / folder).is_dir()
        assert not list((tmp_path / folder).iterdir())


@pytest.mark.parametrize("root", ["deep/er", "../archives/x/..", "mimic_cxr"])
def test_a_root_that_no_archive_can_be_made_at_is_refused(repository: Path, root: str) -> None:
    other = {"layout": "rsna_pneumonia", "root": f"data/phantom/archives/{root}"}
    with pytest.raises(ValueError, match=r"datasets\.other\.root"):
        archives(params_of(repository, datasets={"other": other}))


def test_a_layout_without_a_number_of_studies_is_refused(repository: Path) -> None:
    with pytest.raises(ValueError, match=r"phantom\.studies: .* rsna_pneumonia"):
        archives(params_of(repository, studies={"mimic_cxr": 8, "nih_cxr14": 8, "siim_acr": 8, "covidx_cxr4": 8}))


def test_a_wrong_number_of_workers_is_one_sentence_and_leaves_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSLIP_WORKERS", "many")
    with pytest.raises(ValueError, match="MEDSLIP_WORKERS is 'many'"):
        run(params_of(repository), "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
