"""Archives in their published layouts, on a disk or S3: what studies, images, reports and labels they hold.

Example:
    >>> archive = open_archive("mimic_cxr", "/data/mimic-cxr")
    >>> for entry in archive.entries():
    ...     if entry.report_uri is not None:
    ...         text = archive.read_text(entry.report_uri)
"""

from pathlib import Path

from components.core import paths
from components.core.archives.base import Archive, Box, Entry, Label, Mask
from components.core.archives.covidx_cxr4 import CovidxCxr4
from components.core.archives.folder import Folder
from components.core.archives.local import LocalSource
from components.core.archives.mimic_cxr import MimicCxr
from components.core.archives.nih_cxr14 import NihCxr14
from components.core.archives.rsna_pneumonia import RsnaPneumonia
from components.core.archives.s3 import SCHEME, S3Source
from components.core.archives.siim_acr import SiimAcr
from components.core.archives.source import Changed, OutsideArchive, Source, Stamp, VersionKind

LAYOUTS: dict[str, type[Archive]] = {
    "mimic_cxr": MimicCxr,
    "nih_cxr14": NihCxr14,
    "rsna_pneumonia": RsnaPneumonia,
    "siim_acr": SiimAcr,
    "covidx_cxr4": CovidxCxr4,
    "folder": Folder,
}

__all__ = [
    "LAYOUTS", "Archive", "Box", "Changed", "Entry", "Label", "Mask", "OutsideArchive", "Source", "Stamp",
    "VersionKind", "open_archive", "open_source",
]  # fmt: skip


def open_source(root: str) -> Source:
    """Where an archive's files lie: `s3://bucket/prefix`, or a folder.

    Raises:
        ValueError: the root is neither.
    """
    if root.startswith(SCHEME):
        return S3Source(root)
    return LocalSource(root, linked=paths.PHANTOM_ARCHIVES in Path(root).parents)


def open_archive(layout: str, root: str) -> Archive:
    """The archive of a layout at a root.

    Raises:
        ValueError: there is no such layout, or the root is neither a folder nor on S3.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"there is no archive layout {layout!r}: allowed are {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](open_source(root))
