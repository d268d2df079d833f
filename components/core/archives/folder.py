"""Any tree of DICOM files, with or without a table of reports.

Whose an object is says its header: Patient ID, Study Instance UID, SOP Instance UID. Every file is taken for an object
but those whose name says that they are something else. `reports.csv` at the root, where there is one, has the columns
`study` (the Study Instance UID or the Accession Number) and `text`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath

from components.core.archives.base import Archive, Entry, problem_of
from components.core.archives.source import Source, Stamp, VersionKind
from components.core.archives.tables import has_table, read_rows
from components.core.part10 import header_names

REPORTS = "reports"
ROW = "reports.csv#"  # the uri of a report in the table: this and its study
HEAD, LONG_HEAD = 1 << 16, 1 << 22  # bytes in which most headers, and nearly all, name whose they are
READERS, BATCH = 8, 512  # threads that read headers, and files that are looked at before any of them is given
NO_OBJECTS_WORDS = """
    .7z .bmp .csv .doc .docx .gif .gz .htm .html .ini .jpeg .jpg .js .json .log .md .npy .npz .parquet .pdf .png .py
    .rar .rtf .sh .tar .tgz .tif .tiff .tsv .txt .xls .xlsx .xml .yaml .yml .zip
"""
NO_OBJECTS = frozenset(NO_OBJECTS_WORDS.split())


class Folder(Archive):
    """A tree of DICOM files (see the module).

    Attributes:
        skipped: how many files the entries so far left out because of their name, by its ending; a dot for hidden ones.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.skipped = Counter[str]()

    def entries(self) -> Iterator[Entry]:
        """See `Archive.entries`: every file that may be an object, then studies of the table without one."""
        seen: set[str] = set()
        told: set[str] = set()
        for uri, problem, names in self._objects():
            study = names.get("StudyInstanceUID") or uri
            image = names.get("SOPInstanceUID") or uri
            keys = [key for key in (study, names.get("AccessionNumber")) if key in self._reports]
            told.update(keys)
            yield Entry(
                uri=uri,
                image=uri if image in seen else image,  # the second file of an instance goes by its place
                study=study,
                patient=names.get("PatientID") or study,
                report_uri=ROW + keys[0] if keys else None,
                problem=problem,
            )
            seen.add(image)
        for study in self._reports.keys() - told:
            yield Entry("", "", study, study, report_uri=ROW + study, problem="image_missing")

    def stamp(self, uri: str, kind: VersionKind) -> Stamp:
        """See `Archive.stamp`; that of a report in the table is of its text."""
        if not uri.startswith(ROW):
            return super().stamp(uri, kind)
        content = self.read_bytes(uri)
        return len(content), f"sha256:{hashlib.sha256(content).hexdigest()}"

    def read_bytes(self, uri: str) -> bytes:
        """See `Archive.read_bytes`; of the table's text in UTF-8."""
        try:
            return self._reports[uri.removeprefix(ROW)].encode()
        except KeyError:
            raise FileNotFoundError("the table of reports has no such study") from None

    @cached_property
    def _reports(self) -> dict[str, str]:
        if not has_table(self.source, REPORTS):
            return {}
        texts: dict[str, str] = {}
        for number, row in enumerate(read_rows(self.source, REPORTS, ("study", "text")), start=1):
            if texts.setdefault(row["study"], row["text"]) != row["text"]:
                raise ValueError(f"the table of reports has a second text of a study in row {number}: one is allowed")
        return texts

    def _objects(self) -> Iterator[tuple[str, str | None, dict[str, str]]]:
        """Every file that may be an object, what is wrong with it, and whose it is; several are read at once."""
        self.skipped.clear()
        uris = (uri for uri in self.source.files() if self._may_be_an_object(PurePosixPath(uri)))
        with ThreadPoolExecutor(READERS) as pool:
            while batch := list(islice(uris, BATCH)):
                problems = [problem_of(self.source, uri, "not_a_file") for uri in batch]
                names = pool.map(lambda uri, problem: {} if problem else self._names(uri), batch, problems)
                yield from zip(batch, problems, names, strict=True)

    def _names(self, uri: str) -> dict[str, str]:
        """What the header calls patient, study and image; nothing where it cannot be read: ingest will say why."""
        try:
            names = header_names(self.source.head(uri, HEAD))
            return names if "StudyInstanceUID" in names else header_names(self.source.head(uri, LONG_HEAD))
        except OSError:
            return {}

    def _may_be_an_object(self, path: PurePosixPath) -> bool:
        ending = "." if path.name.startswith(".") else path.suffix.lower()
        skipped = ending == "." or ending in NO_OBJECTS
        self.skipped[ending] += skipped and str(path) not in (f"{REPORTS}.csv", f"{REPORTS}.csv.gz")
        return not skipped
