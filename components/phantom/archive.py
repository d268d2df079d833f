"""What every phantom archive shares: seeds, jobs for the processes, drawing with its truth, the archive's digest."""

import csv
import hashlib
import io
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.core.params import Phantom
from components.core.workers import worker_count
from components.phantom.dicom_writer import Shot, write_dicom
from components.phantom.draw import DrawnFinding, draw, resampled
from components.phantom.study import Study, grade

Row = dict[str, Any]
Writer = Callable[[np.ndarray, Shot, np.random.Generator], bytes]


class Stream(IntEnum):
    """What a generator is for: each has its own numbers, so that none moves another."""

    PLAN = 0
    PATIENT = 1
    STUDY = 2
    IMAGE = 3
    REPORT = 4


def stream(settings: Phantom, archive: str, purpose: Stream, *numbers: int) -> np.random.Generator:
    """The generator of one purpose for one patient, study or image of an archive, whatever the process."""
    name = int.from_bytes(hashlib.sha256(archive.encode()).digest()[:8], "big")
    return np.random.default_rng(np.random.SeedSequence((settings.seed, name, int(purpose), *numbers)))


@dataclass(frozen=True)
class Job:
    """A patient to be made: the unit of work of a process."""

    archive: str
    folder: Path
    settings: Phantom
    number: int  # of the patient, from 0
    studies: tuple[int, ...]  # their numbers in the archive, in time's order
    names: tuple[str, ...]  # the patient's name in the archive, then its studies'
    split: str = ""  # the patient's, where the layout has splits


def split_of_each(patients: int, shares: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    """The split of each patient, shuffled: the first split of the shares takes what the others leave, none is empty."""
    first, *others = shares
    held = {name: max(1, round(patients * shares[name])) for name in others}
    names = [name for name, count in held.items() for _ in range(count)]
    names += [first] * (patients - len(names))
    return [names[index] for index in rng.permutation(patients)]


@dataclass(frozen=True)
class PlannedImage:
    """Everything of an image but its pixels; `side` is what the square drawing is resampled to, where it is."""

    shot: Shot
    study: Study
    study_number: int
    height: int
    width: int
    side: int | None = None


@dataclass
class Made:
    """What came of one or several jobs: rows of the truth and of the archive's tables, digests of the files."""

    drawn: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    asserted: list[Row] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    codecs: list[str] = field(default_factory=list)

    def add(self, other: "Made") -> None:
        """Append another's."""
        for name in ("drawn", "images", "asserted", "records", "codecs"):
            getattr(self, name).extend(getattr(other, name))
        self.digests.update(other.digests)


def put(made: Made, folder: Path, uri: str, content: bytes) -> str:
    """Write a file of an archive; returns its digest."""
    path = folder / uri
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    made.digests[uri] = hashlib.sha256(content).hexdigest()
    return made.digests[uri]


def mask_png(mask_HW: np.ndarray) -> bytes:
    """A mask as PNG of one bit a pixel."""
    done, encoded = cv2.imencode(".png", mask_HW.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    assert done
    return bytes(encoded.tobytes())


def _truth(found: DrawnFinding, names: Row) -> Row:
    x, y, width, height = map(float, found.box)
    return {
        **names,
        "pathology": found.finding.pathology,
        "anatomy": found.finding.anatomy,
        "severity": found.finding.severity,
        "grade": grade(found.finding.severity),
        **{"x": x, "y": y, "width": width, "height": height},
        "mask_png": mask_png(found.mask_HW),
    }


def csv_bytes(columns: tuple[str, ...], rows: list[Row], line_end: str = "\n") -> bytes:
    """A table of an archive: the named columns of the rows, in UTF-8."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator=line_end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def make_image(
    made: Made, job: Job, planned: PlannedImage, uri: str, write: Writer = write_dicom
) -> tuple[DrawnFinding, ...]:
    """Draw an image, write its file and its truth; returns what was drawn."""
    rng = stream(job.settings, job.archive, Stream.IMAGE, planned.study_number, planned.shot.number)
    drawing = draw(planned.study, planned.height, planned.width, rng)
    if planned.side is not None:
        drawing = resampled(drawing, planned.side)
    digest = put(made, job.folder, uri, write(drawing.image_HW, planned.shot, rng))
    names = {
        "source_sha256": digest,
        "image": planned.shot.image_id,
        "study": planned.shot.study_id,
        "patient": planned.shot.patient_id,
    }
    made.drawn += [_truth(found, names) for found in drawing.findings]
    rows, columns = drawing.image_HW.shape
    made.images.append({**names, "view": planned.study.view, "rows": rows, "columns": columns})
    made.codecs.append(planned.shot.codec)
    return drawing.findings


def digest_of(digests: dict[str, str]) -> str:
    """One digest over the files of an archive, by path."""
    lines = "".join(f"{uri} {digests[uri]}\n" for uri in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _as_worker() -> None:
    """One thread a process; an interruption is the parent's to answer, which then ends its workers."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def in_processes(make: Callable[[Job], Made], jobs: list[Job], progress: Callable[[int], None]) -> Made:
    """Do the jobs in as many processes as MEDSLIP_WORKERS allows; the outcome is in the order of the jobs.

    Raises:
        ValueError: MEDSLIP_WORKERS is not a whole number of at least 1.
    """
    total, workers = Made(), min(worker_count(), len(jobs))

    def gather(parts: Iterable[Made]) -> Made:
        for done, part in enumerate(parts, start=1):
            total.add(part)
            progress(done)
        return total

    if workers == 1:
        return gather(map(make, jobs))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_as_worker) as pool:
        try:
            return gather(pool.map(make, jobs, chunksize=4))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
