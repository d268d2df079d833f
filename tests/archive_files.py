"""Small archives in the published layouts, written file by file: for any test that needs a real one."""

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import uid

from tests.dicom_files import LOSSLESS, chest, radiograph

REPORT = "FINDINGS: Small left pleural effusion. No pneumothorax.\nIMPRESSION: Small left pleural effusion.\n"


def csv_bytes(rows: Iterable[Sequence[object]], line_end: str = "\n") -> bytes:
    """A table as CSV, UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode()


def write(root: Path, uri: str, content: bytes | str) -> Path:
    """Write a file of an archive, gzipped where its name says so."""
    path = root / uri
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(plain, mtime=0) if uri.endswith(".gz") else plain)
    return path


@dataclass(frozen=True)
class MimicStudy:
    """A study of a MIMIC-CXR archive: its names, its images' names and its report."""

    patient: str
    study: str
    images: tuple[str, ...]
    report: str | bytes | None = REPORT
    split: str = "train"
    view: str = "PA"

    @property
    def folder(self) -> str:
        """Where its images lie."""
        return f"files/p{self.patient[:2]}/p{self.patient}/s{self.study}"


STUDIES = (
    MimicStudy("10000032", "50414267", ("a0000001", "a0000002"), split="train"),
    MimicStudy("10000032", "50414268", ("a0000003",), split="train", view="AP"),
    MimicStudy("10000764", "57375967", ("a0000004",), split="validate"),
    MimicStudy("10000898", "50771383", ("a0000005",), split="test", view="LATERAL"),
    MimicStudy("10000935", "50578979", ("a0000006",), split="test"),
)


def write_mimic(root: Path, studies: Sequence[MimicStudy] = STUDIES, suffix: str = ".csv.gz") -> Path:
    """A MIMIC-CXR archive: tables, reports, and images that go round the lossless transfer syntaxes."""
    number = 0
    for study in studies:
        for image in study.images:
            syntax: uid.UID = LOSSLESS[number % len(LOSSLESS)]
            number += 1
            pixels = chest(seed=number)
            write(root, f"{study.folder}/{image}.dcm", radiograph(pixels, syntax=syntax, ViewPosition=study.view))
        if study.report is not None:
            write(root, f"{study.folder}.txt", study.report)
    write_mimic_tables(root, studies, suffix)
    return root


def write_mimic_tables(
    root: Path, studies: Sequence[MimicStudy], suffix: str = ".csv.gz", line_end: str = "\n"
) -> None:
    """The four tables of a MIMIC-CXR archive."""
    each = [(study, image) for study in studies for image in study.images]
    tables: dict[str, list[tuple[object, ...]]] = {
        "cxr-record-list": [("subject_id", "study_id", "dicom_id", "path")]
        + [(study.patient, study.study, image, f"{study.folder}/{image}.dcm") for study, image in each],
        "cxr-study-list": [("subject_id", "study_id", "path")]
        + [(study.patient, study.study, f"{study.folder}.txt") for study in studies],
        "mimic-cxr-2.0.0-metadata": [("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate")]
        + [(image, study.patient, study.study, study.view, 21800506) for study, image in each],
        "mimic-cxr-2.0.0-split": [("dicom_id", "study_id", "subject_id", "split")]
        + [(image, study.study, study.patient, study.split) for study, image in each],
    }
    for name, rows in tables.items():
        write(root, name + suffix, csv_bytes(rows, line_end))


BOXES = (
    ("0004cfab", "", "", "", "", 0),
    ("00436515", 10.0, 12.0, 8.0, 20.0, 1),
    ("00436515", 25.0, 14.0, 9.0, 18.0, 1),
    ("00704310", 5.0, 20.0, 12.5, 10.0, 1),
)


def write_rsna(root: Path, boxes: Sequence[tuple[object, ...]] = BOXES) -> Path:
    """An RSNA Pneumonia archive with an image a patient."""
    patients = dict.fromkeys(str(row[0]) for row in boxes)
    for number, patient in enumerate(patients):
        write(root, f"stage_2_train_images/{patient}.dcm", radiograph(chest(seed=number, bits=8), bits=8))
    header = ("patientId", "x", "y", "width", "height", "Target")
    write(root, "stage_2_train_labels.csv", csv_bytes([header, *boxes]))
    return root


def png(pixels: npt.NDArray[np.generic]) -> bytes:
    """A picture [H, W] or [H, W, C] as PNG."""
    return bytes(imagecodecs.png_encode(pixels))


def picture(seed: int) -> npt.NDArray[np.uint8]:
    """A picture [48, 40] of 8 bits."""
    return chest(seed=seed, bits=8).astype(np.uint8)


def write_nih(root: Path) -> Path:
    """An NIH ChestX-ray14 archive: two images, one that is not there, and one that no table lists."""
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
    rows = [
        ("00000001_000.png", "Cardiomegaly|Infiltration", 1, "058Y", "M", "PA"),
        ("00000002_000.png", "No Finding", 2, 414, "F", "AP"),
        ("00000003_000.png", "Mass", 3, 60, "F", "PA"),
    ]
    write(root, "Data_Entry_2017.csv", csv_bytes([columns, *rows]))
    boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Infiltrate,10.5,20,30,40,,,\n"
    write(root, "BBox_List_2017.csv", boxes)
    write(root, "train_val_list.txt", "00000001_000.png\n00000003_000.png\n")
    write(root, "test_list.txt", "00000002_000.png")
    write(root, "images_001/images/00000001_000.png", png(picture(1)))
    write(root, "images_002/images/00000002_000.png", png(np.dstack([picture(2)] * 3 + [picture(2) * 0 + 255])))
    write(root, "images_001/images/stray.png", png(picture(3)))
    return root


def write_covidx(root: Path) -> Path:
    """A COVIDx CXR-4 archive of PNG and JPEG files."""
    write(root, "train.txt", "1 a.png positive cohen\n")
    write(root, "val.txt", "1 a.jpg negative rsna\n")
    write(root, "test.txt", "2 gone.png positive cohen\n")
    write(root, "train/a.png", png(picture(1)))
    write(root, "val/a.jpg", bytes(imagecodecs.jpeg8_encode(picture(2), 90)))
    write(root, "test/stray.png", png(picture(3)))
    return root


def write_siim(root: Path, masks: Sequence[tuple[str, str]], images: Sequence[str]) -> Path:
    """A SIIM-ACR Pneumothorax archive."""
    for number, image in enumerate(images):
        content = radiograph(chest(seed=number, bits=8), bits=8)
        write(root, f"dicom-images-train/study-{image}/series/{image}.dcm", content)
    text = "".join(f"{image}, {runs}\n" for image, runs in masks)
    write(root, "train-rle.csv", f"ImageId, EncodedPixels\n{text}")
    return root
