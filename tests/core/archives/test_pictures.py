"""The layouts of PNG and JPEG files: NIH ChestX-ray14 and COVIDx CXR-4."""

from pathlib import Path

import pytest

from components.core.archives import Box, Entry, Label, open_archive
from tests.archive_files import csv_bytes, write, write_covidx, write_nih


def by_image(layout: str, root: Path) -> dict[str, Entry]:
    return {entry.image: entry for entry in open_archive(layout, str(root)).entries()}


def labels(entry: Entry) -> dict[str, int]:
    return {label.name: label.value for label in entry.labels}


def test_nih_rows_boxes_lists_and_places(tmp_path: Path) -> None:
    found = by_image("nih_cxr14", write_nih(tmp_path))
    first = found["00000001_000.png"]
    assert (first.uri, first.patient, first.study) == ("images_001/images/00000001_000.png", "1", "00000001_000")
    assert (first.split, first.view, first.sex, first.age, first.problem) == ("not_test", "PA", "M", 58, None)
    assert [name for name, value in labels(first).items() if value] == ["Cardiomegaly", "Infiltration"]
    assert len(first.labels) == 14
    assert first.boxes == (Box("Infiltration", 10.5, 20, 30, 40),)
    assert (found["00000002_000.png"].split, found["00000002_000.png"].age) == ("test", None)
    assert set(labels(found["00000002_000.png"]).values()) == {0}
    assert found["00000003_000.png"].problem == "file_missing"
    assert found["images_001/images/stray.png"].problem == "unplaced"


@pytest.mark.parametrize(
    ("table", "row", "sentence"),
    [
        (
            "Data_Entry_2017.csv",
            ("a.png", "Gout", 1, 5, "F", "PA"),
            "row 4 below the header, holds neither No Finding alone nor findings of",
        ),
        (
            "Data_Entry_2017.csv",
            ("a.png", "No Finding|Hernia", 1, 5, "F", "PA"),
            "row 4 below the header, holds neither No Finding alone nor findings of",
        ),
        (
            "BBox_List_2017.csv",
            ("a.png", "Gout", 1, 2, 3, 4),
            "row 2 below the header, holds a finding that is none of",
        ),
        (
            "BBox_List_2017.csv",
            ("a.png", "Mass", 1, 2, 3, ""),
            "row 2 below the header, holds a box that is not four numbers",
        ),
    ],
)
def test_nih_rows_that_mean_nothing(tmp_path: Path, table: str, row: tuple[object, ...], sentence: str) -> None:
    write_nih(tmp_path)
    write(tmp_path, table, (tmp_path / table).read_bytes() + csv_bytes([row]))
    with pytest.raises(ValueError, match=sentence):
        by_image("nih_cxr14", tmp_path)


def test_an_nih_image_is_for_the_test_or_not(tmp_path: Path) -> None:
    write_nih(tmp_path)
    lists = [(tmp_path / name).read_text(encoding="utf-8") for name in ("test_list.txt", "train_val_list.txt")]
    write(tmp_path, "train_val_list.txt", "\n".join(lists).encode())
    with pytest.raises(ValueError, match=r"1 images in both .*, such as 00000002_000"):
        by_image("nih_cxr14", tmp_path)


def test_an_nih_image_of_nobody_is_not_taken(tmp_path: Path) -> None:
    write_nih(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    row = csv_bytes([("00000001_000.png", "Cardiomegaly|Infiltration", 1, "058Y", "M", "PA")])
    assert row in table.read_bytes()
    write(tmp_path, table.name, table.read_bytes().replace(row, row.replace(b",1,", b",,")))
    assert by_image("nih_cxr14", tmp_path)["00000001_000.png"].problem == "unplaced"


def test_an_nih_image_of_no_list_goes_with_the_others_of_its_patient(tmp_path: Path) -> None:
    write_nih(tmp_path)
    table = (tmp_path / "Data_Entry_2017.csv").read_bytes()
    rows = [("early.png", "Mass", 2, 60, "F", "PA"), ("of_nobody_listed.png", "Mass", 9, 60, "F", "PA")]
    write(tmp_path, "Data_Entry_2017.csv", table + csv_bytes(rows))
    found = by_image("nih_cxr14", tmp_path)
    assert (found["early.png"].split, found["of_nobody_listed.png"].split) == ("test", None)


def test_covidx_lists_and_folders(tmp_path: Path) -> None:
    found = by_image("covidx_cxr4", write_covidx(tmp_path))
    assert found["train/a.png"] == Entry(
        uri="train/a.png", image="train/a.png", study="train/a.png", patient="cohen/1", split="train", origin="cohen",
        labels=(Label("covid", 1),),
    )  # fmt: skip
    assert (found["val/a.jpg"].split, found["val/a.jpg"].origin, found["val/a.jpg"].labels[0].value) == (
        "validate",
        "rsna",
        0,
    )
    assert found["test/gone.png"].problem == "file_missing"
    assert found["test/stray.png"].problem == "unplaced"


def test_covidx_lines_without_a_source_and_with_one_in_capitals(tmp_path: Path) -> None:
    write(write_covidx(tmp_path), "val.txt", "7 a.jpg negative\r\n8 b.jpg positive RSNA\r\n")
    found = by_image("covidx_cxr4", tmp_path)
    assert (found["val/a.jpg"].patient, found["val/a.jpg"].origin) == ("7", None)
    assert (found["val/b.jpg"].patient, found["val/b.jpg"].origin) == ("rsna/8", "rsna")


def test_covidx_of_earlier_editions_three_classes_and_blanks_in_names(tmp_path: Path) -> None:
    lines = ["5 COVID-19 (1).png COVID-19 sirm", "6 b.jpg Normal rsna", "7 c.png pneumonia", "8 d e.png Positive"]
    write(write_covidx(tmp_path), "val.txt", "\r\n".join(lines))
    found = by_image("covidx_cxr4", tmp_path)
    told = {name: (found[f"val/{name}"].labels[0].value, found[f"val/{name}"].origin)
            for name in ("COVID-19 (1).png", "b.jpg", "c.png", "d e.png")}  # fmt: skip
    assert told == {"COVID-19 (1).png": (1, "sirm"), "b.jpg": (0, "rsna"), "c.png": (0, None), "d e.png": (1, None)}


@pytest.mark.parametrize(
    ("word", "years"), [("058Y", 58), ("58", 58), ("414", None), ("009M", 0), ("013D", 0), ("", None)]
)
def test_nih_ages(tmp_path: Path, word: str, years: int | None) -> None:
    table = (write_nih(tmp_path) / "Data_Entry_2017.csv").read_text().replace("058Y", word)
    write(tmp_path, "Data_Entry_2017.csv", table)
    assert by_image("nih_cxr14", tmp_path)["00000001_000.png"].age == years


def test_nih_tables_as_published_with_windows_ends_and_commas_in_headers(tmp_path: Path) -> None:
    write_nih(tmp_path)
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    )
    write(tmp_path, "Data_Entry_2017.csv", f"{header}\r\n00000001_000.png,Mass,0,1,058Y,F,AP,2500,2048,0.17,0.17,\r\n")
    box = "00000001_000.png,Mass,225.08,547.01,86.77,79.18,,,"
    write(tmp_path, "BBox_List_2017.csv", f"Image Index,Finding Label,Bbox [x,y,w,h],,,\r\n{box}\r\n")
    write(tmp_path, "test_list.txt", "00000001_000.png\r\n00000009_000.png\r\n")
    write(tmp_path, "train_val_list.txt", "")
    found = by_image("nih_cxr14", tmp_path)
    assert (found["00000001_000.png"].split, found["00000001_000.png"].sex) == ("test", "F")
    later = header.removesuffix(",") + "\n00000001_000.png,Mass,0,1,58,M,AP,2500,2048,0.17,0.17\n"
    write(tmp_path, "Data_Entry_2017_v2020.csv", later)
    later_found = by_image("nih_cxr14", tmp_path)["00000001_000.png"]
    assert (later_found.sex, later_found.age, later_found.boxes) == ("M", 58, found["00000001_000.png"].boxes)
    assert found["00000001_000.png"].boxes == (Box("Mass", 225.08, 547.01, 86.77, 79.18),)
    assert found["00000009_000.png"].problem == "file_missing"  # the list alone knows it


@pytest.mark.parametrize("line", ["1 a.png", "1 a.png maybe cohen", "1 a.png positive Name^Of", "1 a.png negative x y"])
def test_covidx_lines_that_mean_nothing(tmp_path: Path, line: str) -> None:
    write(write_covidx(tmp_path), "val.txt", f"\n{line}\n")
    with pytest.raises(ValueError, match=r"val\.txt, line 2: expected a patient, a file, positive or negative"):
        by_image("covidx_cxr4", tmp_path)
