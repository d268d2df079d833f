"""What every layout's adapter gives: one entry an image, and the text behind a uri."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.core.archives.source import OutsideArchive, Source, Stamp, VersionKind

Split = Literal["train", "validate", "test"]


@dataclass(frozen=True)
class Label:
    """A label of the archive's own: 1 present, 0 absent, -1 not labelled."""

    name: str
    value: int


@dataclass(frozen=True)
class Box:
    """A box of the archive's own, in source pixels: x and y are its left upper corner."""

    name: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mask:
    """A mask of the archive's own: runs of pixels, see records.masks, and the size of the image that they are for."""

    name: str
    runs: str
    rows: int
    columns: int


@dataclass(frozen=True)
class Entry:
    """An image of an archive, or a study without one (`uri` and `image` are then empty).

    Attributes:
        uri: the file relative to the root.
        image, study, patient: names as the archive gives them.
        report_uri: the study's report, or None where there is none.
        split: the official split; "not_test" where it only sets the test apart; or None.
        view, sex, age: as the archive's tables have them, or None; the age in years.
        origin: the collection that a compiled archive took the image from, or None.
        labels, boxes, masks: the layout's own.
        problem: a reason code (records.tables.REASONS) that the listing already knows, or None.
    """

    uri: str
    image: str
    study: str
    patient: str
    report_uri: str | None = None
    split: Split | Literal["not_test"] | None = None
    view: str | None = None
    sex: str | None = None
    age: int | None = None
    origin: str | None = None
    labels: tuple[Label, ...] = ()
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()
    problem: str | None = None


class Archive(ABC):
    """An archive in a layout.

    Attributes:
        pictures: whether its images are PNG or JPEG files, not DICOM objects.
    """

    pictures = False

    def __init__(self, source: Source) -> None:
        self.source = source

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Every image, every study with a report but no image, and every file that a table names in vain.

        No pixel is read; the order is of no meaning.

        Raises:
            ValueError: a table that the layout needs is missing or damaged.
        """

    def stamp(self, uri: str, kind: VersionKind) -> Stamp:
        """The bytes of a file, and what tells that it changed (see `Source.stamp`)."""
        return self.source.stamp(uri, kind)

    def read_bytes(self, uri: str) -> bytes:
        """The bytes of a report.

        Raises:
            OSError: it cannot be read.
            OutsideArchive: it leads out of the root.
        """
        return self.source.read(uri)

    def read_text(self, uri: str) -> str:
        """The text of a report, whatever its encoding, with plain line ends (see `decode_text` and `read_bytes`)."""
        return decode_text(self.read_bytes(uri))


def decode_text(content: bytes) -> str:
    r"""Text of unknown encoding: UTF-8, else UTF-16 with its mark, else Windows-1252, else Latin-1, which takes all.

    Line ends become `\n` and a byte order mark is dropped, so that offsets mean the same whoever saved the file.
    """
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def problem_of(source: Source, uri: str, absent: str = "file_missing") -> str | None:
    """None where a file can be read, else why not: `absent`, or outside where the uri leads out of the root."""
    try:
        return None if source.exists(uri) else absent
    except OutsideArchive:
        return "outside"
