"""A phantom archive in the layout of SIIM-ACR Pneumothorax Segmentation: DICOM files, run-length masks; no report."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.uid import generate_uid

from components.core.params import Phantom
from components.phantom.archive import Job, Made, PlannedImage, Stream, make_image, put, stream
from components.phantom.dicom_writer import UID_ROOT, Shot
from components.phantom.identity import sample_person, sample_visit
from components.phantom.scanner import choose_scanner
from components.phantom.study import Mix, sample_patient, sample_study_with

PNEUMOTHORAX, PNEUMOTHORAX_SHARE = "pneumothorax", 0.35  # of the images; the challenge has 0.22
SIDE = 1024  # of the images, and of the grid that the runs count over
SPECK = 100  # pixels: nobody outlines a part of a mask that is smaller
HEADER, NONE = "ImageId, EncodedPixels", "-1"


def plan(archive: str, folder: Path, settings: Phantom) -> list[Job]:
    """The patients of an archive, each with one study of one series of one image."""
    seed = str(settings.seed)
    jobs = []
    for number in range(settings.studies["siim_acr"]):
        names = [generate_uid(UID_ROOT, [seed, archive, kind, str(number)]) for kind in ("study", "series", "image")]
        jobs.append(Job(archive, folder, settings, number, (number,), tuple(str(name) for name in names)))
    return jobs


def planned_image(job: Job) -> PlannedImage:
    """The image of a job: everything but its pixels."""
    patient = sample_patient(stream(job.settings, job.archive, Stream.PATIENT, job.number))
    rng = stream(job.settings, job.archive, Stream.STUDY, job.number)
    study = sample_study_with(rng, patient, Mix.of(job.settings), frozenset({PNEUMOTHORAX}), PNEUMOTHORAX_SHARE)
    rng = stream(job.settings, job.archive, Stream.PATIENT, job.number, 1)
    person = sample_person(rng, patient.sex, patient.age)
    visit = sample_visit(rng, "siim_acr", person, 0)
    unit, codec = choose_scanner("siim_acr", study.view, rng)
    name, _, image = job.names
    shot = Shot(person, visit, unit, codec, study.view, name, name, image, 1)
    return PlannedImage(shot, study, job.number, job.settings.pixels, job.settings.pixels, SIDE)


def relative_runs(mask_HW: npt.NDArray[np.bool_]) -> str:
    """Runs of a mask down the columns; a start counts from the end of the run before it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask_HW.T.ravel(), [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    gaps = starts - np.concatenate([[0], ends[:-1]])
    return " ".join(f"{gap} {length}" for gap, length in zip(gaps, ends - starts, strict=True))


def make(job: Job) -> Made:
    """Write a patient's image; returns the truth and the rows of the table, one for each part of a mask."""
    made, planned = Made(), planned_image(job)
    image = job.names[2]
    found = make_image(made, job, planned, f"dicom-images-train/{'/'.join(job.names)}.dcm")
    rows = []
    for one in found:
        if one.finding.pathology == PNEUMOTHORAX:
            count, parts_HW = cv2.connectedComponents(one.mask_HW.astype(np.uint8))
            sizes = np.bincount(parts_HW.ravel(), minlength=count)
            rows += [relative_runs(parts_HW == part) for part in range(1, count) if sizes[part] >= SPECK]
    made.records += [{"ImageId": image, "EncodedPixels": runs} for runs in rows or [NONE]]
    return made


def write_tables(folder: Path, made: Made) -> None:
    """Write the table of masks; its commas have a blank after them."""
    lines = [HEADER, *(f"{row['ImageId']}, {row['EncodedPixels']}" for row in made.records)]
    put(made, folder, "train-rle.csv", "".join(f"{line}\n" for line in lines).encode())
