"""Any tree of DICOM files, and what such trees hold besides."""

import os
from pathlib import Path

import pytest
from pydicom import uid

from components.core.archives import Entry, open_archive
from components.core.archives.listing import Stamps, list_archive
from components.core.trouble import TryAgain
from tests.archive_files import csv_bytes, write
from tests.dicom_files import PATIENT_ID, UID_ROOT, chest, radiograph


def by_uri(root: Path) -> dict[str, Entry]:
    return {entry.uri: entry for entry in open_archive("folder", str(root)).entries()}


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian, uid.JPEG2000Lossless]
)
def test_the_header_says_whose_an_object_is(tmp_path: Path, syntax: uid.UID) -> None:
    write(tmp_path, "deep/down/IM0001", radiograph(chest(), syntax=syntax, SOPInstanceUID="1.2.3"))
    entry = by_uri(tmp_path)["deep/down/IM0001"]
    assert (entry.patient, entry.study, entry.image, entry.problem) == (PATIENT_ID, f"{UID_ROOT}.1", "1.2.3", None)


def test_a_long_header_a_missing_patient_and_no_object_at_all(tmp_path: Path) -> None:
    write(
        tmp_path, "long.dcm", radiograph(chest(), ImageComments="x" * 9000, SOPInstanceUID="1.2", PixelPaddingValue=0)
    )
    long = radiograph(chest(), SOPInstanceUID="1.3", EncapsulatedDocument=bytes(200_000), TextValue="y")
    write(tmp_path, "longer.dcm", long)
    write(tmp_path, "nobody.dcm", radiograph(chest(), PatientID=None, SOPInstanceUID="1.4", StudyInstanceUID="1.9"))
    write(tmp_path, "noise.dcm", b"noise")
    found = by_uri(tmp_path)
    assert found["long.dcm"].patient == found["longer.dcm"].patient == PATIENT_ID
    assert found["nobody.dcm"].patient == "1.9"
    assert (found["noise.dcm"].patient, found["noise.dcm"].problem) == ("noise.dcm", None)  # ingest says why


def test_a_second_file_of_an_instance_goes_by_its_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, name, radiograph(chest(), SOPInstanceUID="1.2.3"))
    assert sorted(entry.image for entry in by_uri(tmp_path).values()) == ["1.2.3", "b"]


def test_what_is_no_object(tmp_path: Path) -> None:
    for name in ("notes.txt", "reports/a.PDF", ".hidden", "table.csv"):
        write(tmp_path, name, b"x")
    assert by_uri(tmp_path) == {}


def test_odd_things_are_told_and_never_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "good.dcm", radiograph(chest()))
    write(tmp_path, "secret.dcm", radiograph(chest()))
    (root / "folder.dcm").mkdir()
    (root / "loop").symlink_to(root)
    (root / "out.dcm").symlink_to(tmp_path / "secret.dcm")
    (root / "outside").symlink_to(tmp_path)
    (root / "lost.dcm").symlink_to("nowhere")
    os.mkfifo(root / "pipe.dcm")
    found = {uri: entry.problem for uri, entry in by_uri(root).items()}
    assert found == {
        "good.dcm": None, "folder.dcm": "not_a_file", "out.dcm": "outside", "outside": "outside",
        "lost.dcm": "not_a_file", "pipe.dcm": "not_a_file",
    }  # fmt: skip


def test_a_table_of_reports_by_study_or_accession(tmp_path: Path) -> None:
    write(tmp_path, "a.dcm", radiograph(chest(), StudyInstanceUID="1.1", SOPInstanceUID="1.1.1"))
    write(
        tmp_path, "b.dcm", radiograph(chest(), StudyInstanceUID="1.2", SOPInstanceUID="1.2.1", AccessionNumber="ACC 7")
    )
    write(tmp_path, "c.dcm", radiograph(chest(), StudyInstanceUID="1.3", SOPInstanceUID="1.3.1"))
    rows = [("study", "text"), ("1.1", "Clear.\nNo effusion"), ("ACC 7", "Effusion"), ("1.9", "Nobody")]
    write(tmp_path, "reports.csv", csv_bytes(rows))
    archive = open_archive("folder", str(tmp_path))
    found = {entry.uri: entry for entry in archive.entries()}
    reports = {uri: entry.report_uri and archive.read_text(entry.report_uri) for uri, entry in found.items()}
    assert reports == {"a.dcm": "Clear.\nNo effusion", "b.dcm": "Effusion", "c.dcm": None, "": "Nobody"}
    assert found[""].problem == "image_missing"
    one, other = (archive.stamp(str(found[name].report_uri), "stat") for name in ("a.dcm", "b.dcm"))
    assert one != other
    write(tmp_path, "reports.csv", csv_bytes([*rows, ("1.1", "Large effusion")]))
    with pytest.raises(ValueError, match=r"a second text of a study in row 4: one is allowed"):
        list(open_archive("folder", str(tmp_path)).entries())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads what nobody may")
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, "good.dcm", radiograph(chest()))
    write(tmp_path, "closed.dcm", radiograph(chest(), SOPInstanceUID="1.2")).chmod(0)
    archive = open_archive("folder", str(tmp_path))
    listed = list_archive(archive, Stamps(archive, "stat", 1))
    assert {entry.uri: entry.problem for entry, _, _ in listed} == {"good.dcm": None, "closed.dcm": "unreadable"}
    (tmp_path / "folder").mkdir(mode=0)
    with pytest.raises(ValueError, match=r"a folder below the archive's root .* cannot be read \(Permission denied\)"):
        by_uri(tmp_path)


def test_a_root_that_has_gone_is_not_taken_for_lost_files(tmp_path: Path) -> None:
    write(tmp_path, "mount/good.dcm", radiograph(chest()))
    source = open_archive("folder", str(tmp_path / "mount")).source
    (tmp_path / "mount/good.dcm").unlink()
    with pytest.raises(TryAgain, match="mount cannot be read"):
        source.read("good.dcm")
