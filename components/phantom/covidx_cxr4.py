"""A phantom archive in the layout of COVIDx CXR-4: pictures of several collections, with or without COVID-19.

The disease is one that the archive with reports never shows and the vocabulary does not name.
"""

from dataclasses import replace
from pathlib import Path

from components.core.params import Phantom
from components.phantom.archive import Job, Made, PlannedImage, Stream, make_image, put, split_of_each, stream
from components.phantom.dicom_writer import Shot
from components.phantom.identity import sample_person, sample_visit
from components.phantom.pictures import SUFFIX, write_picture
from components.phantom.scanner import choose_scanner, weighted
from components.phantom.study import LOWEST_SEVERITY, Finding, Mix, sample_patient, sample_study

SPLITS = {"train": 0.4, "val": 0.2, "test": 0.4}  # of the patients; the published test holds 0.1 of the images
ORIGINS = {"bimcv": 5.0, "cohen": 3.0, "ricord": 2.0, "rsna": 3.0}  # the collections by weight
POSITIVES = {"bimcv": 0.5, "cohen": 0.5, "ricord": 1.0, "rsna": 0.0}  # two of them hold one class only, as published
COVID, WHERE = "covid", "parenchymal"


def plan(archive: str, folder: Path, settings: Phantom) -> list[Job]:
    """The patients of an archive, each with one image; a collection counts its own patients."""
    rng, total = stream(settings, archive, Stream.PLAN), settings.studies["covidx_cxr4"]
    splits = split_of_each(total, SPLITS, rng)
    jobs = []
    for number in range(total):
        origin = weighted(rng, ORIGINS)
        kind = "positive" if rng.random() < POSITIVES[origin] else "negative"
        names = (f"S{number:05d}", origin, kind)
        jobs.append(Job(archive, folder, settings, number, (number,), names, splits[number]))
    return jobs


def planned_image(job: Job) -> PlannedImage:
    """The image of a job: everything but its pixels. All but the disease is drawn whether it is there or not."""
    name, origin, kind = job.names
    patient = sample_patient(stream(job.settings, job.archive, Stream.PATIENT, job.number))
    rng = stream(job.settings, job.archive, Stream.STUDY, job.number)
    study = sample_study(rng, patient, Mix.of(job.settings))
    severity = float(rng.uniform(LOWEST_SEVERITY, 1))
    if kind == "positive":
        study = replace(study, findings=(*study.findings, Finding(COVID, WHERE, severity)))
    rng = stream(job.settings, job.archive, Stream.PATIENT, job.number, 1)
    person = sample_person(rng, patient.sex, patient.age)
    visit = sample_visit(rng, "covidx_cxr4", person, 0)
    unit, codec = choose_scanner("covidx_cxr4", study.view, rng, origin)
    uri = f"{job.split}/{origin}-{name}{SUFFIX[codec]}"
    shot = Shot(person, visit, unit, codec, study.view, f"{origin}/{name}", uri, uri, 1)
    return PlannedImage(shot, study, job.number, job.settings.pixels, job.settings.pixels)


def make(job: Job) -> Made:
    """Write a patient's image; returns the truth and its line of a list."""
    made, planned = Made(), planned_image(job)
    name, origin, kind = job.names
    make_image(made, job, planned, planned.shot.image_id, write_picture)
    file = planned.shot.image_id.partition("/")[2]
    made.records.append({"split": job.split, "line": f"{name} {file} {kind} {origin}\n"})
    return made


def write_tables(folder: Path, made: Made) -> None:
    """Write the three lists."""
    for split in SPLITS:
        lines = [row["line"] for row in made.records if row["split"] == split]
        put(made, folder, f"{split}.txt", "".join(lines).encode())
