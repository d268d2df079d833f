"""Real archives in their published layouts: what studies, images, reports and labels they hold.

Example:
    >>> archive = open_archive("mimic_cxr", "/data/mimic-cxr")
    >>> for entry in archive.entries():
    ...     if entry.report_uri is not None:
    ...         text = archive.read_text(entry.report_uri)
"""

from components.core.archives.base import Archive, Box, Entry, Label, OutsideArchive
from components.core.archives.mimic_cxr import MimicCxr
from components.core.archives.rsna_pneumonia import RsnaPneumonia
from components.core.archives.source import LocalSource, VersionKind

LAYOUTS: dict[str, type[Archive]] = {"mimic_cxr": MimicCxr, "rsna_pneumonia": RsnaPneumonia}

__all__ = ["LAYOUTS", "Archive", "Box", "Entry", "Label", "OutsideArchive", "VersionKind", "open_archive"]


def open_archive(layout: str, root: str) -> Archive:
    """The archive of a layout at a root.

    Raises:
        ValueError: there is no such layout, or the root is not a folder.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"there is no archive layout {layout!r}: allowed are {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](LocalSource(root))
