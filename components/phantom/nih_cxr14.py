"""A phantom archive in the layout of NIH ChestX-ray14: PNG files, 14 classes, boxes for some images, two lists."""

from pathlib import Path

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
from components.phantom.draw import DrawnFinding
from components.phantom.identity import sample_person, sample_visit
from components.phantom.pictures import write_picture
from components.phantom.scanner import choose_scanner
from components.phantom.study import Mix, sample_patient, sample_study

SPLITS = {"not_test": 0.6, "test": 0.4}  # of the patients; the published test holds 0.23 of the images
IMAGES_A_PATIENT = (0.6, 0.25, 0.15)  # chances of 1, 2 and 3
BOX_SHARE = 0.5  # of the images; the published boxes are on fewer than 0.01
IMAGES_A_FOLDER = 200

# What the classes are called, by what is drawn. Pneumonia is not: it is a diagnosis, and nothing here has a cause.
CLASSES = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "effusion": "Effusion",
    "hyperinflate": "Emphysema",
    "scar": "Fibrosis",
    "hernia": "Hernia",
    "opacity": "Infiltration",
    "mass": "Mass",
    "nodule": "Nodule",
    "thicken": "Pleural_Thickening",
    "pneumothorax": "Pneumothorax",
}
# The classes that are boxed, under the names that the table of boxes has for them.
BOXED = {
    **{name: name for name in ("Atelectasis", "Cardiomegaly", "Effusion", "Mass", "Nodule", "Pneumothorax")},
    "Infiltration": "Infiltrate",
}
# Both tables have commas in names of columns, so that their headers read as more columns than they mean.
ENTRY_COLUMNS = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
    "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", "",
)  # fmt: skip
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"


def plan(archive: str, folder: Path, settings: Phantom) -> list[Job]:
    """The patients of an archive, each with one to three images, every one a study of its own."""
    rng, total = stream(settings, archive, Stream.PLAN), settings.studies["nih_cxr14"]
    counts: list[int] = []
    while sum(counts) < total:
        counts.append(min(1 + int(rng.choice(3, p=IMAGES_A_PATIENT)), total - sum(counts)))
    splits, jobs, first = split_of_each(len(counts), SPLITS, rng), [], 0
    for number, count in enumerate(counts):
        names = tuple(f"{number + 1:08d}_{image:03d}" for image in range(count))
        numbers = tuple(range(first, first + count))
        jobs.append(Job(archive, folder, settings, number, numbers, (str(number + 1), *names), splits[number]))
        first += count
    return jobs


def planned_images(job: Job) -> list[PlannedImage]:
    """The images of a patient: everything but their pixels."""
    patient = sample_patient(stream(job.settings, job.archive, Stream.PATIENT, job.number))
    mix = Mix.of(job.settings).only(frozenset(CLASSES))
    rng = stream(job.settings, job.archive, Stream.PATIENT, job.number, 1)
    person = sample_person(rng, patient.sex, patient.age)
    planned = []
    for place, number in enumerate(job.studies):
        study = sample_study(stream(job.settings, job.archive, Stream.STUDY, number), patient, mix)
        visit, name = sample_visit(rng, "nih_cxr14", person, place), job.names[1 + place]
        unit, codec = choose_scanner("nih_cxr14", study.view, rng)
        shot = Shot(person, visit, unit, codec, study.view, job.names[0], name, f"{name}.png", 1)
        planned.append(PlannedImage(shot, study, number, job.settings.pixels, job.settings.pixels))
    return planned


def _entry(planned: PlannedImage, follow_up: int, found: tuple[DrawnFinding, ...]) -> Row:
    """The row of an image in the table of entries, the age as the table's first edition writes it."""
    names = sorted({CLASSES[one.finding.pathology] for one in found if one.finding.pathology in CLASSES})
    shot, side = planned.shot, planned.height
    spacing = f"{shot.unit.field_mm / side:.6g}"
    values = (
        shot.image_id, "|".join(names) or "No Finding", follow_up, shot.patient_id, f"{shot.visit.age:03d}Y",
        shot.person.sex, shot.view, side, side, spacing, spacing, "",
    )  # fmt: skip
    return dict(zip(ENTRY_COLUMNS, values, strict=True))


def make(job: Job) -> Made:
    """Write a patient's images; returns the truth and the rows of the tables."""
    made = Made()
    for follow_up, planned in enumerate(planned_images(job)):
        folder = f"images_{planned.study_number // IMAGES_A_FOLDER + 1:03d}/images"
        found = make_image(made, job, planned, f"{folder}/{planned.shot.image_id}", write_picture)
        rng = stream(job.settings, job.archive, Stream.REPORT, planned.study_number)
        boxed = [(CLASSES.get(one.finding.pathology), one.box) for one in found if rng.random() < BOX_SHARE]
        boxes = [(BOXED[name], box) for name, box in boxed if name in BOXED]
        made.records.append({**_entry(planned, follow_up, found), "split": job.split, "boxes": boxes})
    return made


def write_tables(folder: Path, made: Made) -> None:
    """Write the two tables and, with Windows line ends, the two lists."""
    put(made, folder, "Data_Entry_2017.csv", csv_bytes(ENTRY_COLUMNS, made.records))
    rows = [
        f"{row['Image Index']},{name},{','.join(f'{float(value):.10g}' for value in box)},,,\n"
        for row in made.records
        for name, box in row["boxes"]
    ]
    put(made, folder, "BBox_List_2017.csv", (BOX_HEADER + "".join(rows)).encode())
    for uri, split in (("train_val_list.txt", "not_test"), ("test_list.txt", "test")):
        names = [row["Image Index"] for row in made.records if row["split"] == split]
        put(made, folder, uri, "\r\n".join(names).encode())
