"""Where an archive's files lie. A uri is a path relative to its root, with forward slashes."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO, Literal

VersionKind = Literal["content", "stat"]
Stamp = tuple[int, str]  # bytes and version


class OutsideArchive(ValueError):
    """A uri leads out of the archive's root: it is never read."""


class Changed(Exception):
    """A file is no longer the one that was listed."""


def content_version(content: bytes) -> str:
    """The version of a file that is told by its bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Source(ABC):
    """An archive's root.

    Every method raises TryAgain where the whole root cannot be reached, OutsideArchive where a uri leads out of it,
    and OSError where one file cannot be read. No message names a file: its path may name a patient.

    Attributes:
        root: as the user gave it.
    """

    root: str

    @abstractmethod
    def files(self, folder: str = "") -> Iterator[str]:
        """The uris of all files below a folder, one at a time; none where there is no such folder."""

    @abstractmethod
    def exists(self, uri: str) -> bool:
        """Whether there is a plain file."""

    @abstractmethod
    def stamp(self, uri: str, kind: VersionKind) -> Stamp:
        """The bytes of a file, and what tells that it changed."""

    @abstractmethod
    def head(self, uri: str, count: int) -> bytes:
        """The first bytes of a file."""

    @abstractmethod
    def read(self, uri: str, version: str | None = None) -> bytes:
        """A whole file. Raises Changed where it has another version than the one given, which no content told."""

    @abstractmethod
    def open(self, uri: str) -> BinaryIO:
        """A file as a stream: for tables, which may be large."""
