"""The MIMIC-CXR layout, as it lies on real disks."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from components.core import paths
from components.core.archives import Entry, OutsideArchive, open_archive
from tests.archive_files import STUDIES, MimicStudy, csv_bytes, write, write_mimic, write_mimic_tables
from tests.dicom_files import chest, radiograph

IMAGE = "files/p10/p10000032/s50414267/a0000001.dcm"


def entries(root: Path) -> list[Entry]:
    return list(open_archive("mimic_cxr", str(root)).entries())


def by_image(root: Path) -> dict[str, Entry]:
    return {entry.image: entry for entry in entries(root) if entry.uri}


def replace_table(root: Path, name: str, rows: Sequence[Sequence[object]]) -> None:
    write(root, f"{name}.csv.gz", csv_bytes(rows))


def test_an_image_is_listed_with_its_names_report_split_and_view(tmp_path: Path) -> None:
    found = by_image(write_mimic(tmp_path))
    assert len(found) == 6
    assert found["a0000001"] == Entry(
        uri=IMAGE,
        image="a0000001",
        study="50414267",
        patient="10000032",
        report_uri="files/p10/p10000032/s50414267.txt",
        split="train",
        view="PA",
    )
    assert (found["a0000005"].split, found["a0000005"].view) == ("test", "LATERAL")


@pytest.mark.parametrize(("suffix", "line_end"), [(".csv.gz", "\r\n"), (".csv", "\n"), (".csv", "\r\n")])
def test_tables_may_be_plain_and_have_any_line_end(tmp_path: Path, suffix: str, line_end: str) -> None:
    write_mimic(tmp_path / "a")
    write_mimic(tmp_path / "b")
    for table in (tmp_path / "b").glob("*.csv.gz"):
        table.unlink()
    write_mimic_tables(tmp_path / "b", STUDIES, suffix, line_end)
    assert entries(tmp_path / "a") == entries(tmp_path / "b")


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    table = csv_bytes([("subject_id", "study_id", "dicom_id", "path"), ("10000032", "50414267", "a0000001", IMAGE)])
    write(tmp_path, "cxr-record-list.csv.gz", b"\xef\xbb\xbf" + table)
    assert "a0000001" in by_image(tmp_path)


def test_a_row_missing_from_metadata_and_splits_costs_no_image(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    replace_table(tmp_path, "mimic-cxr-2.0.0-metadata", [("dicom_id", "ViewPosition"), ("a0000004", "AP")])
    replace_table(
        tmp_path,
        "mimic-cxr-2.0.0-split",
        [("dicom_id", "study_id", "subject_id", "split"), ("a0000001", "50414267", "10000032", "validate")],
    )
    found = by_image(tmp_path)
    assert (found["a0000001"].view, found["a0000004"].view) == (None, "AP")
    assert found["a0000003"].split == "validate", "the patient's other study is in that split"
    assert found["a0000004"].split is None


def test_a_listed_file_that_is_not_there(tmp_path: Path) -> None:
    (write_mimic(tmp_path) / IMAGE).unlink()
    found = by_image(tmp_path)
    assert found["a0000001"].problem == "file_missing"
    assert [entry.problem for name, entry in found.items() if name != "a0000001"] == [None] * 5


def test_a_file_that_no_table_lists_is_taken_by_its_place(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    write(tmp_path, "files/p10/p10000764/s57375967/b0000001.dcm", radiograph(chest()))
    write(tmp_path, "files/p10/p10000764/index.html", "<html>")
    write(tmp_path, "files/lost.dcm", radiograph(chest()))
    found = by_image(tmp_path)
    assert len(found) == 8
    extra = found["b0000001"]
    assert (extra.patient, extra.study, extra.split) == ("10000764", "57375967", "validate")
    assert extra.report_uri == "files/p10/p10000764/s57375967.txt"
    assert extra.problem is None
    assert found["files/lost.dcm"].problem == "unplaced"


def test_two_files_of_one_name_stay_two_images(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    twin = "files/p10/p10000764/s57375967/a0000001.dcm"
    write(tmp_path, twin, radiograph(chest()))
    assert {entry.uri for entry in by_image(tmp_path).values()} >= {IMAGE, twin}


def test_two_patients_with_one_study_number_keep_their_own_reports(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    write(tmp_path, "files/p10/p10000764/s50414267/b0000001.dcm", radiograph(chest()))
    write(tmp_path, "files/p10/p10000764/s50414267.txt", "FINDINGS: Another patient.")
    found = by_image(tmp_path)
    first, second = found["a0000001"], found["b0000001"]
    assert (first.report_uri, second.report_uri) == (
        "files/p10/p10000032/s50414267.txt",
        "files/p10/p10000764/s50414267.txt",
    )
    assert (first.study, second.study) == ("10000032/50414267", "10000764/50414267")
    assert found["a0000003"].study.isdigit()


def test_a_file_whose_name_is_not_utf8_is_told_and_costs_no_other(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    folder = os.fsencode(tmp_path / "files/p10/p10000764/s57375967")
    with open(os.path.join(folder, b"\xff\xfe.dcm"), "wb") as file:
        file.write(radiograph(chest()))
    found = by_image(tmp_path)
    assert found["\\xff\\xfe"].problem == "not_a_file"
    assert [entry.problem for name, entry in found.items() if name.startswith("a")] == [None] * 6


def test_an_unclosed_quote_does_not_swallow_rows_unseen(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    table = tmp_path / "mimic-cxr-2.0.0-split.csv"
    (tmp_path / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    table.write_text('dicom_id,subject_id,split\na0000001,10000032,"train\na0000005,10000764,test\n')
    with pytest.raises(ValueError, match=r"split\.csv is damaged: unexpected end of data"):
        entries(tmp_path)


def test_a_study_without_a_report(tmp_path: Path) -> None:
    (write_mimic(tmp_path) / "files/p10/p10000032/s50414267.txt").unlink()
    found = by_image(tmp_path)
    assert found["a0000001"].report_uri is None
    assert found["a0000001"].problem is None
    assert found["a0000003"].report_uri is not None


def test_a_report_that_lies_elsewhere_than_its_table_says(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    rows = [(study.patient, study.study, f"reports/s{study.study}.txt") for study in STUDIES]
    replace_table(tmp_path, "cxr-study-list", [("subject_id", "study_id", "path"), *rows])
    assert by_image(tmp_path)["a0000001"].report_uri == "files/p10/p10000032/s50414267.txt"
    write(tmp_path, "reports/s50414267.txt", "FINDINGS: Clear.")
    assert by_image(tmp_path)["a0000001"].report_uri == "reports/s50414267.txt"


def test_a_report_without_an_image_listed_or_not(tmp_path: Path) -> None:
    write_mimic(tmp_path, [*STUDIES, MimicStudy("10000980", "50985099", ())])
    write(tmp_path, "files/p10/p10000032/s59999999.txt", "FINDINGS: Clear.")
    lone = {entry.study: entry for entry in entries(tmp_path) if not entry.uri}
    assert {study: entry.problem for study, entry in lone.items()} == {
        "50985099": "image_missing",
        "59999999": "image_missing",
    }
    assert lone["59999999"].report_uri == "files/p10/p10000032/s59999999.txt"
    assert lone["59999999"].split == "train"


@pytest.mark.parametrize(
    "path", ["../secret.dcm", "files/../../secret.dcm", "/etc/hostname", "files//a.dcm", "files/p10/./a.dcm", ""]
)
def test_a_table_that_points_outside_the_root(tmp_path: Path, path: str) -> None:
    root = write_mimic(tmp_path / "archive")
    write(tmp_path, "secret.dcm", radiograph(chest()))
    replace_table(
        root,
        "cxr-record-list",
        [("subject_id", "study_id", "dicom_id", "path"), ("10000032", "50414267", "evil", path)],
    )
    archive = open_archive("mimic_cxr", str(root))
    evil = next(entry for entry in archive.entries() if entry.image == "evil")
    assert evil.problem == "outside"
    with pytest.raises(OutsideArchive):
        archive.source.read(evil.uri)


def test_a_link_that_leads_outside_the_root(tmp_path: Path) -> None:
    root = write_mimic(tmp_path / "archive")
    secret = write(tmp_path, "secret.dcm", radiograph(chest()))
    (root / IMAGE).unlink()
    (root / IMAGE).symlink_to(secret)
    assert by_image(root)["a0000001"].problem == "outside"
    (root / IMAGE).unlink()
    (root / IMAGE).symlink_to(root / "files/p10/p10000032/s50414267/a0000002.dcm")
    assert by_image(root)["a0000001"].problem is None


def test_a_synthetic_archive_that_dvc_restored_as_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a container's mounts keep cache and workspace apart, or two disks do, DVC has no other way."""
    monkeypatch.chdir(tmp_path)
    made = write_mimic(tmp_path / "cache")
    for path in (path for path in made.rglob("*") if path.is_file()):
        link = paths.PHANTOM_ARCHIVES / "mimic_cxr" / path.relative_to(made)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    found = list(open_archive("mimic_cxr", str(paths.PHANTOM_ARCHIVES / "mimic_cxr")).entries())
    assert found
    assert {entry.problem for entry in found} == {
        entry.problem for entry in open_archive("mimic_cxr", str(made)).entries()
    }


@pytest.mark.parametrize(
    "name", ["cxr-record-list", "cxr-study-list", "mimic-cxr-2.0.0-metadata", "mimic-cxr-2.0.0-split"]
)
def test_a_missing_table_is_named(tmp_path: Path, name: str) -> None:
    (write_mimic(tmp_path) / f"{name}.csv.gz").unlink()
    with pytest.raises(ValueError, match=rf"has no table {name}\.csv\.gz or {name}\.csv$"):
        entries(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (csv_bytes([("subject_id", "study_id")]), "has no column 'dicom_id'"),
        (csv_bytes([("subject_id", "study_id", "dicom_id", "path"), ("1", "2")]), "line 2: 2 fields, expected 4"),
        (b"", "has no column 'subject_id'"),
        (b"subject_id,study_id,dicom_id,path\n1,2,\xff\xfe,4\n", "is not UTF-8 text"),
    ],
)
def test_a_malformed_table_is_told_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    write(write_mimic(tmp_path), "cxr-record-list.csv.gz", content)
    with pytest.raises(ValueError, match=sentence):
        entries(tmp_path)


def test_a_table_that_is_cut_short(tmp_path: Path) -> None:
    table = write_mimic(tmp_path) / "cxr-record-list.csv.gz"
    table.write_bytes(table.read_bytes()[:-12])
    with pytest.raises(ValueError, match="is damaged"):
        entries(tmp_path)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    replace_table(tmp_path, "mimic-cxr-2.0.0-split", [("dicom_id", "subject_id", "split"), ("a", "1", "val")])
    with pytest.raises(ValueError, match=r"another split than train, validate, test in its row 1 below the header$"):
        entries(tmp_path)
