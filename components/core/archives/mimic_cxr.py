"""MIMIC-CXR 2.x: DICOM files and reports below files/, and four tables beside it.

`files/p10/p10000032/s50414267/<dicom_id>.dcm` is an image, `files/p10/p10000032/s50414267.txt` its study's report.
Source: https://physionet.org/content/mimic-cxr/ and https://physionet.org/content/mimic-cxr-jpg/ (metadata and split).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args

from components.core.archives.base import Archive, Entry, Split, problem_of
from components.core.archives.tables import read_rows

RECORDS, STUDIES = "cxr-record-list", "cxr-study-list"
METADATA, SPLITS = "mimic-cxr-2.0.0-metadata", "mimic-cxr-2.0.0-split"

SPLIT_NAMES: dict[str, Split] = {name: name for name in get_args(Split)}
IMAGE_PLACE = re.compile(r"files/p\d\d/p(?P<patient>\d+)/s(?P<study>\d+)/(?P<image>[^/]+)\.dcm", re.IGNORECASE)
REPORT_PLACE = re.compile(r"files/p\d\d/p(?P<patient>\d+)/s(?P<study>\d+)\.txt", re.IGNORECASE)


StudyKey = tuple[str, str]  # patient and study: hospitals that were merged may both have a study 1


@dataclass
class _Listing:
    """What the tables say, kept by name."""

    views: dict[str, str] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    patient_splits: dict[str, Split] = field(default_factory=dict)
    reports: dict[StudyKey, str] = field(default_factory=dict)
    owner: dict[str, str | None] = field(default_factory=dict)  # study → its patient, None where several have it

    def own(self, patient: str, study: str) -> None:
        """Take note of whose a study is."""
        self.owner[study] = patient if self.owner.get(study, patient) == patient else None

    def name(self, key: StudyKey) -> str:
        """What tells a study from all others: its own name, or with the patient's where that is not enough."""
        patient, study = key
        return study if self.owner[study] == patient else f"{patient}/{study}"


class MimicCxr(Archive):
    """The MIMIC-CXR layout (see the module)."""

    def entries(self) -> Iterator[Entry]:
        """See `Archive.entries`: the tables' images, then files on disk that no table lists, then lone reports."""
        listing = self._read_tables()
        on_disk = {uri for uri in self.source.files("files") if uri.lower().endswith((".dcm", ".txt"))}
        for uri in on_disk:
            if place := IMAGE_PLACE.fullmatch(uri) or REPORT_PLACE.fullmatch(uri):
                listing.own(place["patient"], place["study"])
        reports = self._reports(listing, on_disk)
        with_image: set[str] = set()
        for entry in self._images(listing, reports, on_disk):
            with_image.add(entry.study)
            yield entry
        for key in listing.reports:
            if listing.name(key) not in with_image:
                yield Entry(
                    uri="",
                    image="",
                    study=listing.name(key),
                    patient=key[0],
                    report_uri=reports.get(key),
                    split=listing.patient_splits.get(key[0]),
                    problem="image_missing",
                )

    def _reports(self, listing: _Listing, on_disk: set[str]) -> dict[StudyKey, str]:
        """The report of each study that has one: where the table says, else at its place; adds unlisted studies."""
        reports = {key: uri for key, uri in listing.reports.items() if problem_of(self.source, uri) is None}
        for uri in sorted(on_disk):
            if place := REPORT_PLACE.fullmatch(uri):
                key = (place["patient"], place["study"])
                if key not in reports and problem_of(self.source, uri) is None:
                    reports[key] = uri
                    listing.reports.setdefault(key, uri)
        return reports

    def _read_tables(self) -> _Listing:
        listing = _Listing()
        for row in read_rows(self.source, STUDIES, ("subject_id", "study_id", "path")):
            listing.reports[row["subject_id"], row["study_id"]] = row["path"]
            listing.own(row["subject_id"], row["study_id"])
        for row in read_rows(self.source, RECORDS, ("subject_id", "study_id")):
            listing.own(row["subject_id"], row["study_id"])
        for row in read_rows(self.source, METADATA, ("dicom_id", "ViewPosition")):
            if row["ViewPosition"]:
                listing.views[row["dicom_id"]] = row["ViewPosition"]
        splits = read_rows(self.source, SPLITS, ("dicom_id", "subject_id", "split"))
        for number, row in enumerate(splits, start=1):
            split = SPLIT_NAMES.get(row["split"])
            if split is None:
                raise ValueError(
                    f"{self.source.root}: the table {SPLITS} holds another split than {', '.join(SPLIT_NAMES)} "
                    f"in its row {number} below the header"
                )
            listing.splits[row["dicom_id"]] = split
            listing.patient_splits.setdefault(row["subject_id"], split)
        return listing

    def _images(self, listing: _Listing, reports: dict[StudyKey, str], on_disk: set[str]) -> Iterator[Entry]:
        names: set[str] = set()
        uris: set[str] = set()

        def entry(uri: str, image: str, study: str, patient: str, problem: str | None) -> Entry:
            # A name that stands twice in an archive tells nothing apart: the second file goes by its place.
            name = uri if image in names else image
            names.add(name)
            uris.add(uri)
            return Entry(
                uri=uri,
                image=name,
                study=study if problem == "unplaced" else listing.name((patient, study)),
                patient=patient,
                report_uri=reports.get((patient, study)),
                split=listing.splits.get(image) or listing.patient_splits.get(patient),
                view=listing.views.get(image),
                problem=problem,
            )

        for row in read_rows(self.source, RECORDS, ("subject_id", "study_id", "dicom_id", "path")):
            uri = row["path"]
            if uri not in uris:
                yield entry(uri, row["dicom_id"], row["study_id"], row["subject_id"], problem_of(self.source, uri))
        for uri in sorted(uri for uri in on_disk - uris if uri.lower().endswith(".dcm")):
            if place := IMAGE_PLACE.fullmatch(uri):
                problem = problem_of(self.source, uri, absent="not_a_file")
                yield entry(uri, place["image"], place["study"], place["patient"], problem)
            else:
                yield entry(uri, uri, uri, uri, "unplaced")
