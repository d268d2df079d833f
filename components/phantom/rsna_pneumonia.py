"""A phantom archive in the layout of the RSNA pneumonia challenge: DICOM files, boxes, classes; no report."""

import uuid
from pathlib import Path

from components.core.params import Phantom
from components.phantom.archive import Job, Made, PlannedImage, Stream, csv_bytes, make_image, put, stream
from components.phantom.dicom_writer import Shot
from components.phantom.identity import sample_person, sample_visit
from components.phantom.scanner import choose_scanner
from components.phantom.study import Mix, sample_patient, sample_study_with

OPACITIES = frozenset({"consolidation", "opacity"})  # what the challenge's readers boxed
OPACITY_SHARE = 0.3  # of the images; the challenge has 0.23

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


def planned_image(job: Job) -> PlannedImage:
    """The image of a job: everything but its pixels. All have one size, as in the challenge."""
    patient = sample_patient(stream(job.settings, job.archive, Stream.PATIENT, job.number))
    rng = stream(job.settings, job.archive, Stream.STUDY, job.number)
    study = sample_study_with(rng, patient, Mix.of(job.settings), OPACITIES, OPACITY_SHARE)
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


def write_tables(folder: Path, made: Made) -> None:
    """Write the two tables of the archive."""
    put(made, folder, "stage_2_train_labels.csv", csv_bytes(LABEL_COLUMNS, made.records))
    put(made, folder, "stage_2_detailed_class_info.csv", csv_bytes(CLASS_COLUMNS, made.records))
