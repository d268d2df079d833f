"""A phantom archive in the layout of the RSNA pneumonia challenge: DICOM files, boxes, classes; no report."""

import csv
import io
import uuid
from pathlib import Path

import numpy as np

from components.core.params import Phantom
from components.phantom.archive import Job, Made, PlannedImage, Row, Stream, make_image, put, stream
from components.phantom.dicom_writer import Shot
from components.phantom.identity import sample_person, sample_visit
from components.phantom.scanner import choose_scanner
from components.phantom.study import Mix, Patient, Study, sample_patient, sample_study

Rng = np.random.Generator

OPACITIES = frozenset({"consolidation", "opacity"})  # what the challenge's readers boxed
OPACITY_SHARE = 0.3  # of the images; the challenge has 0.23
TRIES = 500

LABEL_COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
CLASS_COLUMNS = ("patientId", "class")
NORMAL, NOT_NORMAL, OPACITY = "Normal", "No Lung Opacity / Not Normal", "Lung Opacity"


def plan(archive: str, folder: Path, settings: Phantom) -> list[Job]:
    """The patients of an archive, each with one study of one image."""
    rng = stream(settings, archive, Stream.PLAN)
    jobs = []
    for number in range(settings.studies["rsna_pneumonia"]):
        name = str(uuid.UUID(bytes=rng.bytes(16), version=4))
        jobs.append(Job(archive, folder, settings, number, (number,), (name, name)))
    return jobs


def _study(rng: Rng, patient: Patient, mix: Mix) -> Study:
    """A study with a lung opacity at the declared share; where findings are too rare for that, the last one tried."""
    wanted = rng.random() < OPACITY_SHARE
    for _ in range(TRIES):
        study = sample_study(rng, patient, mix)
        if any(finding.pathology in OPACITIES for finding in study.findings) == wanted:
            break
    return study


def planned_image(job: Job) -> PlannedImage:
    """The image of a job: everything but its pixels. All have one size, as in the challenge."""
    patient = sample_patient(stream(job.settings, job.archive, Stream.PATIENT, job.number))
    study = _study(stream(job.settings, job.archive, Stream.STUDY, job.number), patient, Mix.of(job.settings))
    rng = stream(job.settings, job.archive, Stream.PATIENT, job.number, 1)
    person = sample_person(rng, patient.sex, patient.age)
    visit = sample_visit(rng, "rsna_pneumonia", person, 0)
    unit, codec = choose_scanner("rsna_pneumonia", study.view, rng)
    shot = Shot(person, visit, unit, codec, study.view, job.names[0], job.names[1], job.names[0], 1)
    return PlannedImage(shot, study, job.number, job.settings.pixels, job.settings.pixels)


def make(job: Job) -> Made:
    """Write a patient's image; returns the truth and the rows of the two tables."""
    made, planned = Made(), planned_image(job)
    name = job.names[0]
    found = make_image(made, job, planned, f"stage_2_train_images/{name}.dcm")
    boxes = [finding.box for finding in found if finding.finding.pathology in OPACITIES]
    kind = OPACITY if boxes else (NOT_NORMAL if found else NORMAL)
    corners = [[f"{float(value):.1f}" for value in box] for box in boxes] or [[""] * 4]
    for values in corners:
        box_columns = dict(zip(LABEL_COLUMNS[1:5], values, strict=True))
        made.records.append({"patientId": name, **box_columns, "Target": int(bool(boxes)), "class": kind})
    return made


def _csv(columns: tuple[str, ...], rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def write_tables(folder: Path, made: Made) -> None:
    """Write the two tables of the archive."""
    put(made, folder, "stage_2_train_labels.csv", _csv(LABEL_COLUMNS, made.records))
    put(made, folder, "stage_2_detailed_class_info.csv", _csv(CLASS_COLUMNS, made.records))
