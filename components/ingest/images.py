"""One inventory row → an image with its facts, or the reason why it is refused. Runs in a process of its own."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.archives import Archive, OutsideArchive, open_archive
from components.core.archives.source import content_version
from components.core.dicom import Radiograph, Refused, render
from components.core.dicom.header import age_band, normal_sex, normal_view
from components.core.params import Dataset, Ingest
from components.core.records.tables import REASONS

Row = dict[str, Any]


@dataclass(frozen=True)
class Accepted:
    """An image and its manifest row, which lacks only its place (shard and row).

    Attributes:
        disagreements: of view, sex and age, those in which the header contradicts the archive's tables; the tables win.
    """

    image_SS: npt.NDArray[np.uint8]
    manifest: Row
    disagreements: tuple[str, ...]


@dataclass(frozen=True)
class Rejected:
    """Why an image is refused."""

    reason: str
    message: str


class Renderer:
    """Turns inventory rows of one dataset into images."""

    def __init__(self, dataset: Dataset, params: Ingest) -> None:
        self.archive: Archive = open_archive(dataset.layout, dataset.root)
        self.params = params

    def __call__(self, row: Row) -> Accepted | Rejected:
        """The image of a row, or why there is none."""
        try:
            content = self._read(row)
            radiograph = render(content, self.params.size, self.params.window, self.params.percentiles)
        except Refused as refusal:
            return Rejected(refusal.reason, refusal.message)
        manifest, disagreements = _manifest_row(row, radiograph, hashlib.sha256(content).hexdigest())
        return Accepted(radiograph.image_SS, manifest, disagreements)

    def _read(self, row: Row) -> bytes:
        """The bytes that were listed. Raises Refused where the listing or the disk has others, or none."""
        if row["problem"] is not None:
            raise Refused(row["problem"], REASONS[row["problem"]])
        try:
            content = self.archive.read_bytes(row["uri"])
            listed = row["version"]
            version = (
                content_version(content)
                if listed.startswith("sha256:")
                else self.archive.source.version(row["uri"], "stat")
            )
        except OutsideArchive:
            raise Refused("outside", REASONS["outside"]) from None
        except FileNotFoundError:
            raise Refused("changed", "the file was there when it was listed and is gone now") from None
        except OSError as error:
            raise Refused("unreadable", f"the file cannot be read (error {error.errno})") from None
        if version != listed:
            raise Refused("changed", REASONS["changed"])
        return content


def _manifest_row(row: Row, radiograph: Radiograph, digest: str) -> tuple[Row, tuple[str, ...]]:
    header, letterbox = radiograph.header, radiograph.letterbox
    tables: Row = {"view": normal_view(row["view"]), "sex": normal_sex(row["sex"]), "age": row["age"]}
    said: Row = {"view": header.view, "sex": header.sex, "age": header.age}
    nothing = (None, "UNKNOWN")
    merged = {key: said[key] if tables[key] in nothing else tables[key] for key in tables}
    disagreements = tuple(key for key in tables if said[key] not in (*nothing, merged[key]))
    manifest = {
        **{key: row[key] for key in ("image_id", "study_id", "patient_id", "split")},
        "view": merged["view"],
        "sex": merged["sex"],
        "age_band": age_band(merged["age"]),
        "scanner": header.scanner,
        "source_sha256": digest,
        "rows": letterbox.rows,
        "columns": letterbox.columns,
        "pixel_spacing_mm": header.pixel_spacing_mm,
        "transfer_syntax": radiograph.transfer_syntax,
        "photometric_interpretation": header.photometric_interpretation,
        "affine": list(letterbox.affine),
    }
    return manifest, disagreements
