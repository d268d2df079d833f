"""COVIDx CXR-4: PNG and JPEG files compiled from several collections, with or without COVID-19.

`train.txt`, `val.txt` and `test.txt` have a line an image, blank-separated: patient, file, class and, but in the first
editions, source; the files lie in folders of the same names. A file's name may hold blanks, and earlier editions have
three classes, of which two are without COVID-19.
Source: Wu et al., COVIDx CXR-4, arXiv 2311.17677.
"""

import re
from collections.abc import Iterator

from components.core.archives.base import Archive, Entry, Label, Split, decode_text, problem_of

SPLITS: dict[str, Split] = {"train": "train", "val": "validate", "test": "test"}
COVID = "covid"
CLASSES = {"positive": 1, "negative": 0, "covid-19": 1, "pneumonia": 0, "normal": 0}
LINE = re.compile(rf"(\S+)\s+(\S.*?)\s+({'|'.join(CLASSES)})(?:\s+(\S+))?", re.IGNORECASE)
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
            if not line.strip():
                continue
            found = LINE.fullmatch(line.strip())
            origin = found[4].lower() if found and found[4] else None
            if found is None or (origin is not None and not ORIGIN.fullmatch(origin)):
                raise ValueError(
                    f"{self.source.root}/{uri}, line {number}: expected a patient, a file, {' or '.join(CLASSES)}, and "
                    "a source in one word or none, separated by blanks"
                )
            yield found[1], found[2], found[3].lower(), origin
