"""A phantom archive in the layout of MIMIC-CXR: folders, DICOM files, reports, and the four tables."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.core.params import Phantom
from components.phantom.archive import (
    Job,
    Made,
    PlannedImage,
    Row,
    Stream,
    csv_bytes,
    make_image,
    put,
    split_of_each,
    stream,
)
from components.phantom.dicom_writer import Shot
from components.phantom.identity import Visit, sample_person, sample_visit
from components.phantom.report import Context, write_report
from components.phantom.scanner import choose_scanner
from components.phantom.study import LOWEST_SEVERITY, Mix, Patient, Study, sample_patient, sample_study

Rng = np.random.Generator

SPLITS = {"train": 0.65, "validate": 0.08, "test": 0.27}  # of the patients
STUDIES_A_PATIENT = (0.6, 0.25, 0.15)  # chances of 1, 2 and 3
SECOND_IMAGE = 0.1  # chance of a second exposure in a study
FOLLOW_UP = 0.5  # chance that a later study shows the earlier one's findings, changed
OLDER_STUDIES = 0.55  # chance that a first study is compared with one that the archive does not have
GONE = 0.25  # chance that a finding is gone at a follow-up
DRIFT = 0.3  # largest change of a severity at a follow-up

TABLES = {
    "cxr-record-list.csv.gz": ("subject_id", "study_id", "dicom_id", "path"),
    "cxr-study-list.csv.gz": ("subject_id", "study_id", "path"),
    "mimic-cxr-2.0.0-metadata.csv.gz": (
        "dicom_id",
        "subject_id",
        "study_id",
        "PerformedProcedureStepDescription",
        "ViewPosition",
        "Rows",
        "Columns",
        "StudyDate",
        "StudyTime",
        "ProcedureCodeSequence_CodeMeaning",
        "ViewCodeSequence_CodeMeaning",
        "PatientOrientationCodeSequence_CodeMeaning",
    ),
    "mimic-cxr-2.0.0-split.csv.gz": ("dicom_id", "study_id", "subject_id", "split"),
}
PROCEDURES = {"PA": "CHEST (PA AND LAT)", "AP": "CHEST (PORTABLE AP)"}
VIEW_MEANINGS = {"PA": "postero-anterior", "AP": "antero-posterior"}


def plan(archive: str, folder: Path, settings: Phantom) -> list[Job]:
    """The patients of an archive with as many studies as the settings ask for."""
    rng, total = stream(settings, archive, Stream.PLAN), settings.studies["mimic_cxr"]
    counts: list[int] = []
    while sum(counts) < total:
        counts.append(min(1 + int(rng.choice(3, p=STUDIES_A_PATIENT)), total - sum(counts)))
    subjects = np.sort(rng.choice(9_999_999, len(counts), replace=False)) + 10_000_000
    studies = rng.choice(9_999_999, total, replace=False) + 50_000_000
    splits, jobs, first = split_of_each(len(counts), SPLITS, rng), [], 0
    for number, count in enumerate(counts):
        numbers = tuple(range(first, first + count))
        names = (str(subjects[number]), *(str(studies[study]) for study in numbers))
        jobs.append(Job(archive, folder, settings, number, numbers, names, splits[number]))
        first += count
    return jobs


def _later(before: Study, fresh: Study, rng: Rng) -> Study:
    """A follow-up: the earlier findings, some gone, the others better or worse; or another study altogether."""
    if rng.random() >= FOLLOW_UP:
        return fresh
    findings = []
    for finding in before.findings:
        severity = finding.severity + rng.uniform(-DRIFT, DRIFT)
        severity = LOWEST_SEVERITY + abs(severity - LOWEST_SEVERITY)
        if rng.random() >= GONE:
            findings.append(replace(finding, severity=float(1 - abs(1 - severity))))
    return replace(fresh, findings=tuple(findings))


def _studies(job: Job) -> tuple[Patient, list[Study]]:
    """The patient and the studies of a job, in time's order."""
    patient = sample_patient(stream(job.settings, job.archive, Stream.PATIENT, job.number))
    mix, studies = Mix.of(job.settings), list[Study]()
    for number in job.studies:
        rng = stream(job.settings, job.archive, Stream.STUDY, number)
        fresh = sample_study(rng, patient, mix)
        studies.append(_later(studies[-1], fresh, rng) if studies else fresh)
    return patient, studies


def _dicom_id(job: Job, study: int, image: int) -> str:
    """An image's name in MIMIC's form: five groups of eight hexadecimal digits."""
    digits = hashlib.sha1(f"{job.settings.seed}/{job.archive}/{study}/{image}".encode()).hexdigest()
    return "-".join(digits[place : place + 8] for place in range(0, 40, 8))


def image_size(settings: Phantom, rng: Rng) -> tuple[int, int]:
    """Height and width in pixels: the height within a fifth of the setting, the width up to a fifth less."""
    height = round(settings.pixels * rng.uniform(0.8, 1.2))
    return height, round(height * rng.uniform(0.8, 1.0))


def planned_images(job: Job) -> list[list[PlannedImage]]:
    """The images of each study of a job: everything but their pixels."""
    patient, studies = _studies(job)
    rng = stream(job.settings, job.archive, Stream.PATIENT, job.number, 1)
    person = sample_person(rng, patient.sex, patient.age)
    planned = []
    for place, (number, study) in enumerate(zip(job.studies, studies, strict=True)):
        visit = sample_visit(rng, "mimic_cxr", person, place)
        images = []
        for image in range(1, 2 + int(rng.random() < SECOND_IMAGE)):
            unit, codec = choose_scanner("mimic_cxr", study.view, rng)
            height, width = image_size(job.settings, rng)
            shot = Shot(person, visit, unit, codec, study.view, job.names[0], job.names[1 + place],
                        _dicom_id(job, number, image), image)  # fmt: skip
            images.append(PlannedImage(shot, study, number, height, width))
        planned.append(images)
    return planned


def _record(job: Job, planned: PlannedImage, path: str, report: str) -> Row:
    """One image's values for all four tables."""
    visit: Visit = planned.shot.visit
    return {
        "subject_id": planned.shot.patient_id,
        "study_id": planned.shot.study_id,
        "dicom_id": planned.shot.image_id,
        "path": path,
        "report": report,
        "split": job.split,
        "PerformedProcedureStepDescription": PROCEDURES[planned.study.view],
        "ViewPosition": planned.study.view,
        "Rows": planned.height,
        "Columns": planned.width,
        "StudyDate": visit.dicom_date,
        "StudyTime": visit.dicom_time,
        "ProcedureCodeSequence_CodeMeaning": PROCEDURES[planned.study.view],
        "ViewCodeSequence_CodeMeaning": VIEW_MEANINGS[planned.study.view],
        "PatientOrientationCodeSequence_CodeMeaning": "Erect",
    }


def make(job: Job) -> Made:
    """Write a patient's files; returns the truth and the rows of the tables."""
    made, before = Made(), None
    folder = f"files/p{job.names[0][:2]}/p{job.names[0]}"
    for images in planned_images(job):
        study, shot = images[0].study, images[0].shot
        rng = stream(job.settings, job.archive, Stream.REPORT, images[0].study_number)
        compared = before is not None or rng.random() < OLDER_STUDIES
        context = Context(study, shot.visit.age, before, compared)
        report = write_report(context, job.settings.unmentioned_share, rng)
        report_uri = f"{folder}/s{shot.study_id}.txt"
        put(made, job.folder, report_uri, report.text.encode())
        for pathology, anatomy, presence in report.asserted:
            made.asserted.append(
                {"study": shot.study_id, "pathology": pathology, "anatomy": anatomy, "presence": presence}
            )
        for planned in images:
            uri = f"{folder}/s{shot.study_id}/{planned.shot.image_id}.dcm"
            make_image(made, job, planned, uri)
            made.records.append(_record(job, planned, uri, report_uri))
        before = study
    return made


def write_tables(folder: Path, made: Made) -> None:
    """Write the four tables of the archive."""
    studies = {row["study_id"]: {**row, "path": row["report"]} for row in made.records}
    for name, columns in TABLES.items():
        rows = list(studies.values()) if "study-list" in name else made.records
        put(made, folder, name, gzip.compress(csv_bytes(columns, rows), mtime=0))
