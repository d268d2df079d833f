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


@dataclass
class _Listing:
    """What the tables say, kept by name."""

    views: dict[str, str] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    patient_splits: dict[str, Split] = field(default_factory=dict)
    reports: dict[str, tuple[str, str]] = field(default_factory=dict)  # study → patient, uri


class MimicCxr(Archive):
    """The MIMIC-CXR layout (see the module)."""

    def entries(self) -> Iterator[Entry]:
        """See `Archive.entries`: the tables' images, then files on disk that no table lists, then lone reports."""
        listing = self._read_tables()
        on_disk = {uri for uri in self.source.files("files") if uri.lower().endswith((".dcm", ".txt"))}
        reports = self._reports(listing, on_disk)
        with_image: set[str] = set()
        for entry in self._images(listing, reports, on_disk):
            with_image.add(entry.study)
            yield entry
        for study, (patient, _) in listing.reports.items():
            if study not in with_image:
                yield Entry(
                    uri="",
                    image="",
                    study=study,
                    patient=patient,
                    report_uri=reports.get(study),
                    split=listing.patient_splits.get(patient),
                    problem="image_missing",
                )

    def _reports(self, listing: _Listing, on_disk: set[str]) -> dict[str, str]:
        """The report of each study that has one: where the table says, else at its place; adds unlisted studies."""
        reports = {study: uri for study, (_, uri) in listing.reports.items() if problem_of(self.source, uri) is None}
        for uri in sorted(on_disk):
            place = REPORT_PLACE.fullmatch(uri)
            if place and place["study"] not in reports and problem_of(self.source, uri) is None:
                reports[place["study"]] = uri
                listing.reports.setdefault(place["study"], (place["patient"], uri))
        return reports

    def _read_tables(self) -> _Listing:
        listing = _Listing()
        for row in read_rows(self.source, STUDIES, ("subject_id", "study_id", "path")):
            listing.reports[row["study_id"]] = (row["subject_id"], row["path"])
        for row in read_rows(self.source, METADATA, ("dicom_id", "ViewPosition")):
            if row["ViewPosition"]:
                listing.views[row["dicom_id"]] = row["ViewPosition"]
        for row in read_rows(self.source, SPLITS, ("dicom_id", "subject_id", "split")):
            split = SPLIT_NAMES.get(row["split"])
            if split is None:
                raise ValueError(
                    f"{self.source.root}: the table {SPLITS} holds the split {row['split']!r}; "
                    f"allowed are {', '.join(SPLIT_NAMES)}"
                )
            listing.splits[row["dicom_id"]] = split
            listing.patient_splits.setdefault(row["subject_id"], split)
        return listing

    def _images(self, listing: _Listing, reports: dict[str, str], on_disk: set[str]) -> Iterator[Entry]:
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
                study=study,
                patient=patient,
                report_uri=reports.get(study),
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
                yield entry(uri, place["image"], place["study"], place["patient"], problem_of(self.source, uri))
            else:
                yield entry(uri, uri, uri, uri, "unplaced")
