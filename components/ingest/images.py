"""One inventory row → an entry of the image store: the image with its facts, or why there is none."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from components.core import dicom, part10
from components.core.archives import Changed, OutsideArchive, open_archive
from components.core.dicom import Radiograph, Refused, render, render_picture
from components.core.dicom.header import age_band
from components.core.dicom.pixels import MOST_BYTES
from components.core.params import Dataset, Ingest
from components.core.pseudonyms import Pseudonyms
from components.core.records import image_store, letterbox
from components.core.records.digests import folder_digest
from components.core.records.image_store import Entry, ImageStore, entry_name, pixels_digest
from components.core.records.tables import REASONS

Row = dict[str, Any]
DECODERS = ("imagecodecs", "numpy", "opencv-python-headless", "pydicom")


@dataclass(frozen=True)
class Task:
    """What a process needs to know to turn rows into entries.

    Attributes:
        name: the dataset.
        dataset: the archive.
        params: the settings.
        store: the folder of all settings' entries.
    """

    name: str
    dataset: Dataset
    params: Ingest
    store: Path

    def entry_name(self, row: Row) -> str:
        """The name of a row's entry in the store."""
        return entry_name(self.dataset.root, row["uri"], row["version"])


def store_of(task: Task) -> ImageStore:
    """The store of a task: entries of other parameters, another key, or another version of this code are not in it."""
    code = [folder_digest(Path(dicom.__file__).parent, (".py",))]
    files = (part10.__file__, letterbox.__file__, image_store.__file__, __file__)
    code += [hashlib.sha256(Path(str(file)).read_bytes()).hexdigest() for file in files]
    settings = {
        "params": task.params.model_dump(mode="json"),
        "key": Pseudonyms.from_key_file().fingerprint,
        "code": code,
        "decoders": {name: version(name) for name in DECODERS},
    }
    return ImageStore(task.store, settings)


class Renderer:
    """Turns inventory rows of one dataset into entries."""

    def __init__(self, task: Task) -> None:
        self.archive = open_archive(task.dataset.layout, task.dataset.root)
        self.params = task.params
        self.pseudonyms = Pseudonyms.from_key_file()

    def read(self, row: Row) -> bytes:
        """The bytes that were listed.

        Raises:
            Refused: the file is too large, is gone, cannot be read, or is another than was listed.
            TryAgain: the whole archive cannot be reached.
        """
        if row["bytes"] > MOST_BYTES:
            raise Refused("too_large", f"the file holds {row['bytes']} bytes, more than any radiograph")
        try:
            return self.archive.source.read(row["uri"], row["version"])
        except OutsideArchive:
            raise Refused("outside", REASONS["outside"]) from None
        except Changed:
            raise Refused("changed", REASONS["changed"]) from None
        except FileNotFoundError:
            raise Refused("changed", "the file was there when it was listed and is gone now") from None
        except OSError as error:
            raise Refused("unreadable", f"the file cannot be read (error {error.errno})") from None

    def render(self, row: Row, content: bytes) -> Entry:
        """The entry of a row's bytes.

        Raises:
            Refused: changed, where they are not those that were listed.
        """
        digest = hashlib.sha256(content).hexdigest()
        if row["version"].startswith("sha256:") and row["version"] != f"sha256:{digest}":
            raise Refused("changed", REASONS["changed"])
        settings = self.params
        try:
            if self.archive.pictures:
                radiograph = render_picture(content, settings.size)
            else:
                radiograph = render(content, settings.size, settings.window, settings.percentiles, settings.allow)
        except Refused as refusal:
            return Entry(refused(refusal), None)
        except MemoryError:
            return Entry(refused(Refused("too_large", "the object takes more memory than any radiograph")), None)
        except Exception as error:  # noqa: BLE001 - whatever a hostile object leads to must cost no other one
            told = f"the object cannot be made an image ({type(error).__name__})"
            return Entry(refused(Refused("decode_failed", told)), None)
        return Entry(self._facts(radiograph, digest), radiograph.image_SS)

    def _facts(self, radiograph: Radiograph, digest: str) -> Row:
        """The closed list of what is kept of an object: no free text, names as pseudonyms only."""
        header, place = radiograph.header, radiograph.letterbox
        return {
            "instance": self._pseudonym("instance", header.instance),
            "view": header.view,
            "sex": header.sex,
            "age_band": age_band(header.age),
            "scanner": self._pseudonym("scanner", header.scanner),
            "source_sha256": digest,
            "size": place.size,
            "rows": place.rows,
            "columns": place.columns,
            "pixel_spacing_mm": header.pixel_spacing_mm,
            "bits_stored": radiograph.bits,
            "transfer_syntax": radiograph.transfer_syntax,
            "photometric_interpretation": header.photometric_interpretation,
            "pixels_sha256": pixels_digest(radiograph.image_SS, place.rows, place.columns),
        }

    def _pseudonym(self, kind: str, text: str | None) -> str | None:
        """The same in every dataset."""
        return None if text is None else self.pseudonyms.name(kind, "", text)


def refused(refusal: Refused) -> Mapping[str, str]:
    """The facts of an object that gives no image."""
    return {"reason": refusal.reason, "message": refusal.message}
