"""COVIDx CXR-4: PNG and JPEG files compiled from several collections, with or without COVID-19.

`train.txt`, `val.txt` and `test.txt` have a line an image, blank-separated: patient, file, class and, but in the first
editions, source; the files lie in folders of the same names.
Source: Wu et al., COVIDx CXR-4, arXiv 2311.17677.
"""

import re
from collections.abc import Iterator

from components.core.archives.base import Archive, Entry, Label, Split, decode_text, problem_of

SPLITS: dict[str, Split] = {"train": "train", "val": "validate", "test": "test"}
COVID, CLASSES = "covid", {"positive": 1, "negative": 0}
ORIGIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


class CovidxCxr4(Archive):
    """The COVIDx CXR-4 layout (see the module)."""

    pictures = True

    def entries(self) -> Iterator[Entry]:
        """See `Archive.entries`: the lists' images, then files that they do not name."""
        for folder, split in SPLITS.items():
            on_disk = set(self.source.files(folder))
            for patient, file, name, origin in self._lines(folder):
                uri = f"{folder}/{file}"
                on_disk.discard(uri)
                yield Entry(
                    uri=uri,
                    image=uri,  # a file's name may stand in two folders
                    study=uri,
                    patient=f"{origin}/{patient}" if origin else patient,  # each collection counts its own patients
                    split=split,
                    origin=origin,
                    labels=(Label(COVID, CLASSES[name]),),
                    problem=problem_of(self.source, uri),
                )
            for uri in sorted(on_disk):
                yield Entry(uri=uri, image=uri, study=uri, patient=uri, problem="unplaced")

    def _lines(self, folder: str) -> Iterator[tuple[str, str, str, str | None]]:
        uri = f"{folder}.txt"
        if not self.source.exists(uri):
            raise ValueError(f"the archive at {self.source.root} has no list {uri}")
        for number, line in enumerate(decode_text(self.source.read(uri)).splitlines(), start=1):
            fields = line.split()
            if not fields:
                continue
            origin = fields[3].lower() if len(fields) > 3 else None
            known = origin is None or ORIGIN.fullmatch(origin)
            if not 3 <= len(fields) <= 4 or fields[2] not in CLASSES or not known:
                raise ValueError(
                    f"{self.source.root}/{uri}, line {number}: expected a patient, a file, {' or '.join(CLASSES)}, and "
                    "a source in one word or none, separated by blanks"
                )
            yield fields[0], fields[1], fields[2], origin
