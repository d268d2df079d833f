"""Where an archive's files lie: here a folder. A uri is a path relative to it, with forward slashes."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

VersionKind = Literal["content", "stat"]


class OutsideArchive(ValueError):
    """A uri leads out of the archive's root: it is never read."""


def content_version(content: bytes) -> str:
    """The version of a file that is told by its bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _raise(error: OSError) -> None:
    raise error


class LocalSource:
    """An archive's root as a folder of this machine.

    Raises:
        ValueError: the root is not a folder.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise ValueError(f"the archive's root {root} is not a folder")
        self._real_root = os.path.realpath(self.root)

    def _path(self, uri: str) -> str:
        parts = uri.split("/")
        if not uri or "\0" in uri or any(part in ("", ".", "..") for part in parts):
            raise OutsideArchive("the archive names a file by a path that is not below its root")
        path = os.path.realpath(os.path.join(self._real_root, *parts))
        if os.path.commonpath([self._real_root, path]) != self._real_root:
            raise OutsideArchive("the archive names a file by a path that leads out of its root")
        return path

    def exists(self, uri: str) -> bool:
        """Whether there is a regular file. Raises OutsideArchive where the uri leads out of the root."""
        return os.path.isfile(self._path(uri))

    def open(self, uri: str) -> BinaryIO:
        """The file, opened for reading. Raises OutsideArchive, or OSError where it cannot be read."""
        return open(self._path(uri), "rb")

    def size(self, uri: str) -> int:
        """The number of bytes of a file."""
        return os.stat(self._path(uri)).st_size

    def version(self, uri: str, kind: VersionKind) -> str:
        """What tells that a file changed: `sha256:…` of its bytes, or `stat:<size>-<modified, ns>`."""
        if kind == "stat":
            status = os.stat(self._path(uri))
            return f"stat:{status.st_size}-{status.st_mtime_ns}"
        digest = hashlib.sha256()
        with self.open(uri) as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return f"sha256:{digest.hexdigest()}"

    def files(self, folder: str) -> Iterator[str]:
        """The uris of all files below a folder, in order; none where there is no such folder.

        Links to folders are not followed: a loop would have no end. A name that is not UTF-8 is given with its odd
        bytes written out, so that a table can hold it; such a file does not `exist`. Raises OSError where a folder
        cannot be read.
        """
        top = os.path.join(self._real_root, folder)
        if not os.path.isdir(top):
            return
        for place, folders, names in os.walk(top, onerror=_raise):
            folders.sort()
            below = os.path.relpath(place, self._real_root).replace(os.sep, "/")
            for name in sorted(names):
                yield os.fsencode(f"{below}/{name}").decode("utf-8", "backslashreplace")
