"""An archive's entries, with sizes, versions, pseudonyms and splits: the rows of the inventory."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from components.core.archives.base import Archive, Entry
from components.core.archives.source import OutsideArchive, VersionKind
from components.core.params import Inventory
from components.core.pseudonyms import Pseudonyms, forgotten_patients

Stamped = tuple[int, str | None]
ABSENT: Stamped = (-1, None)


class Stamps:
    """Sizes and versions of an archive's files, read by several threads: hashing leaves Python's lock."""

    def __init__(self, archive: Archive, kind: VersionKind, workers: int) -> None:
        self.archive, self.kind, self.workers = archive, kind, workers

    def __call__(self, uris: Sequence[str]) -> list[Stamped]:
        """The (bytes, version) of each file; (-1, None) where it cannot be read."""
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._stamp, uris))

    def _stamp(self, uri: str) -> Stamped:
        try:
            return self.archive.stamp(uri, self.kind)
        except (OSError, OutsideArchive):
            return ABSENT


def list_archive(archive: Archive, stamps: Stamps) -> list[tuple[Entry, Stamped, str | None]]:
    """Every entry with its file's stamp and its report's version, in an order that belongs to the archive.

    A report is stamped once, however many images its study has.

    Raises:
        ValueError: a table of the archive is missing or damaged, or the archive holds no image.
    """
    entries = sorted(archive.entries(), key=lambda entry: (entry.patient, entry.study, entry.uri))
    if not any(entry.uri for entry in entries):
        raise ValueError(f"the archive at {archive.source.root} holds no image")
    images = [entry.uri for entry in entries if entry.uri and entry.problem is None]
    reports = sorted({entry.report_uri for entry in entries if entry.report_uri is not None})
    image_stamps = dict(zip(images, stamps(images), strict=True))
    report_stamps = dict(zip(reports, stamps(reports), strict=True))
    listed = []
    for entry in entries:
        stamp = image_stamps.get(entry.uri, ABSENT)
        if entry.uri and entry.problem is None and stamp == ABSENT:
            entry = replace(entry, problem="unreadable")
        listed.append((entry, stamp, report_stamps[entry.report_uri][1] if entry.report_uri is not None else None))
    return listed


def inventory_rows(
    dataset: str, listed: Iterable[tuple[Entry, Stamped, str | None]], pseudonyms: Pseudonyms, params: Inventory
) -> list[dict[str, Any]]:
    """The rows of the table `inventory` (records.tables.INVENTORY); patients who are to be forgotten have none."""

    def split_of(entry: Entry) -> str:
        if entry.split == "not_test":
            return pseudonyms.split(dataset, entry.patient, params.validate_share / (1 - params.test_share), 0)
        return entry.split or pseudonyms.split(dataset, entry.patient, params.validate_share, params.test_share)

    forgotten = forgotten_patients()
    return [
        {
            "uri": entry.uri,
            "bytes": size,
            "version": version,
            "image": entry.image,
            "study": entry.study,
            "patient": entry.patient,
            "image_id": pseudonyms.name("image", dataset, entry.image) if entry.uri else None,
            "study_id": pseudonyms.name("study", dataset, entry.study),
            "patient_id": pseudonyms.name("patient", dataset, entry.patient),
            "report_uri": entry.report_uri,
            "report_version": report_version,
            "split": split_of(entry),
            "view": entry.view,
            "sex": entry.sex,
            "age": entry.age,
            "origin": entry.origin,
            **{key: [asdict(own) for own in getattr(entry, key)] for key in ("labels", "boxes", "masks")},
            "problem": entry.problem,
        }
        for entry, (size, version), report_version in listed
        if pseudonyms.name("patient", dataset, entry.patient) not in forgotten
    ]
