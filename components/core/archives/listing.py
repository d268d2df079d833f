"""An archive's entries, with sizes, versions, pseudonyms and splits: the rows of the inventory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import islice

import pyarrow as pa

from components.core.archives.base import Archive, Entry
from components.core.archives.source import OutsideArchive, VersionKind
from components.core.params import Inventory
from components.core.pseudonyms import Pseudonyms, forgotten_patients
from components.core.records.tables import BATCH, Gathered

Stamped = tuple[int, str | None]
Listed = tuple[Entry, Stamped, str | None]  # an entry, its file's stamp and its report's version
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


def list_archive(archive: Archive, stamps: Stamps) -> Iterator[Listed]:
    """Every entry with its file's stamp and its report's version, as the archive gives them: few are held at once.

    A report is stamped once, however many images its study has.

    Raises:
        ValueError: a table of the archive is missing or damaged, or the archive holds no image.
    """
    entries = _each_image_once(archive.entries())
    report_stamps: dict[str | None, Stamped] = {None: ABSENT}
    has_image = False
    while some := list(islice(entries, BATCH)):
        has_image = has_image or any(entry.uri for entry in some)
        images = [entry.uri for entry in some if entry.uri and entry.problem is None]
        reports = list({uri for entry in some if (uri := entry.report_uri) is not None} - report_stamps.keys())
        image_stamps = dict(zip(images, stamps(images), strict=True))
        report_stamps |= dict(zip(reports, stamps(reports), strict=True))
        for entry in some:
            stamp = image_stamps.get(entry.uri, ABSENT)
            if entry.uri and entry.problem is None and stamp == ABSENT:
                entry = replace(entry, problem="unreadable")
            yield entry, stamp, report_stamps[entry.report_uri][1]
    if not has_image:
        raise ValueError(f"the archive at {archive.source.root} holds no image")


def _each_image_once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries; an image that an earlier one has already goes by another name, and its problem is that."""
    seen: Counter[str] = Counter()
    for entry in entries:
        if entry.uri:
            seen[entry.image] += 1
            if seen[entry.image] > 1:
                entry = replace(entry, image=f"{entry.image} ({seen[entry.image]})", problem="repeated")
        yield entry


def inventory_of(dataset: str, listed: Iterable[Listed], pseudonyms: Pseudonyms, params: Inventory) -> pa.Table:
    """The table `inventory` (records.tables.INVENTORY), in an order that belongs to the archive.

    Patients who are to be forgotten have no row.
    """

    def split_of(entry: Entry) -> str:
        if entry.split == "not_test":
            return pseudonyms.split(dataset, entry.patient, params.validate_share / (1 - params.test_share), 0)
        return entry.split or pseudonyms.split(dataset, entry.patient, params.validate_share, params.test_share)

    forgotten = forgotten_patients()
    rows = Gathered("inventory")
    for entry, (size, version), report_version in listed:
        patient_id = pseudonyms.name("patient", dataset, entry.patient)
        if patient_id in forgotten:
            continue
        rows.add(
            {
                "uri": entry.uri,
                "bytes": size,
                "version": version,
                "image": entry.image,
                "study": entry.study,
                "patient": entry.patient,
                "image_id": pseudonyms.name("image", dataset, entry.image) if entry.uri else None,
                "study_id": pseudonyms.name("study", dataset, entry.study),
                "patient_id": patient_id,
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
        )
    return rows.table().sort_by([(key, "ascending") for key in ("patient", "study", "uri")])
