"""RSNA Pneumonia Detection Challenge (2018): one image a patient, boxes of lung opacities, no reports.

`stage_2_train_images/<patientId>.dcm` is an image; `stage_2_train_labels.csv` holds a row a box, or one without.
Not read: `stage_2_test_images`, which have no published labels, and `stage_2_detailed_class_info.csv`, whose classes
only divide the images without a box.
Source: https://www.kaggle.com/c/rsna-pneumonia-detection-challenge/data
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from components.core.archives.base import Archive, Box, Entry, Label, problem_of
from components.core.archives.tables import box_of, read_rows

FOLDER = "stage_2_train_images"
LABELS = "stage_2_train_labels"
PNEUMONIA = "pneumonia"
AXES = ("x", "y", "width", "height")


class RsnaPneumonia(Archive):
    """The RSNA Pneumonia layout (see the module)."""

    def entries(self) -> Iterator[Entry]:
        """See `Archive.entries`: the labelled patients, then images on disk that the labels do not list."""
        targets, boxes = self._read_labels()
        listed = {f"{FOLDER}/{patient}.dcm": patient for patient in targets}
        on_disk = (uri for uri in self.source.files(FOLDER) if uri.lower().endswith(".dcm"))
        unlisted = {uri: PurePosixPath(uri).stem for uri in on_disk if uri not in listed}
        for uri, patient in {**listed, **unlisted}.items():
            yield Entry(
                uri=uri,
                image=patient,
                study=patient,
                patient=patient,
                labels=(Label(PNEUMONIA, targets.get(patient, -1)),),
                boxes=tuple(boxes.get(patient, ())),
                problem=problem_of(self.source, uri, "file_missing" if uri in listed else "not_a_file"),
            )

    def _read_labels(self) -> tuple[dict[str, int], dict[str, list[Box]]]:
        targets: dict[str, int] = {}
        boxes: dict[str, list[Box]] = {}
        rows = read_rows(self.source, LABELS, ("patientId", *AXES, "Target"))
        for number, row in enumerate(rows, start=1):
            place = f"{self.source.root}: the table {LABELS}, row {number} below the header,"
            if row["Target"] not in ("0", "1"):
                raise ValueError(f"{place} holds another Target than 0 and 1")
            target, patient = int(row["Target"]), row["patientId"]
            if targets.setdefault(patient, target) != target:
                raise ValueError(f"{place} gives a patient the other Target, too")
            if any(row[axis] for axis in AXES):
                boxes.setdefault(patient, []).append(box_of(PNEUMONIA, [row[axis] for axis in AXES], place))
            if target != bool(boxes.get(patient)):
                raise ValueError(f"{place} holds " + ("Target 1 without a box" if target else "a box with Target 0"))
        return targets, boxes
