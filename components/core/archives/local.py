"""An archive in a folder of this machine."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from components.core.archives.source import Changed, OutsideArchive, Source, Stamp, VersionKind
from components.core.trouble import TryAgain

# What a network file system says when it is gone, and a disk when it fails: not the fault of one file.
ROOT_FAILS = frozenset(
    (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENODEV, errno.EHOSTDOWN, errno.EHOSTUNREACH)
)


class LocalSource(Source):
    """A folder.

    Args:
        root: its path.
        linked: whether links in it may lead out of it, as they do where DVC has restored a synthetic archive.

    Raises:
        ValueError: the root is not a folder.
    """

    def __init__(self, root: str, linked: bool = False) -> None:
        self.root, self.linked = root, linked
        if not os.path.isdir(root):
            raise ValueError(f"the archive's root {root} is not a folder")
        self._real_root = os.path.realpath(root)

    def _path(self, uri: str) -> str:
        parts = uri.split("/")
        if not uri or "\0" in uri or any(part in ("", ".", "..") for part in parts):
            raise OutsideArchive("the archive names a file by a path that is not below its root")
        path = os.path.realpath(os.path.join(self._real_root, *parts))
        if not self.linked and os.path.commonpath([self._real_root, path]) != self._real_root:
            raise OutsideArchive("the archive names a file by a path that leads out of its root")
        return path

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tells the trouble of one file from that of the whole root, such as a mount that has gone."""
        try:
            yield
        except OSError as error:
            gone = error.errno == errno.ENOENT and not (os.path.isdir(self._real_root) and os.listdir(self._real_root))
            if gone or error.errno in ROOT_FAILS:
                raise TryAgain(f"the archive at {self.root} cannot be read: {os.strerror(error.errno or 0)}") from None
            raise

    def files(self, folder: str = "") -> Iterator[str]:
        """See `Source.files`: in order.

        Links to folders are not followed: a loop would have no end; one that leads out of the root is given as if it
        were a file, and so is an empty folder with the name of an object, so that somebody is told. A name that is not
        UTF-8 is given with its odd bytes written out, so that a table can hold it; such a file does not `exist`.

        Raises:
            ValueError: a folder cannot be read.
        """
        top = os.path.join(self._real_root, folder)
        if not os.path.isdir(top):
            return
        for place, folders, names in os.walk(top, onerror=self._refuse_folder):
            folders.sort()
            below = os.path.relpath(place, self._real_root).replace(os.sep, "/")
            odd = [name for name in folders if self._is_odd(os.path.join(place, name))]
            for name in sorted([*names, *odd]):
                uri = name if below == "." else f"{below}/{name}"
                yield os.fsencode(uri).decode("utf-8", "backslashreplace")

    def _is_odd(self, path: str) -> bool:
        """Whether a folder is a link out of the root, or an empty one that is named like an object."""
        if os.path.islink(path):
            return os.path.commonpath([self._real_root, os.path.realpath(path)]) != self._real_root
        return path.lower().endswith(".dcm") and os.access(path, os.R_OK) and not os.listdir(path)

    def _refuse_folder(self, error: OSError) -> None:
        with self._told():
            if error.errno in ROOT_FAILS:
                raise error
        raise ValueError(
            f"a folder below the archive's root {self.root} cannot be read ({os.strerror(error.errno or 0)}): "
            "find it with `find ROOT -type d ! -readable`"
        )

    def exists(self, uri: str) -> bool:
        """See `Source.exists`."""
        return os.path.isfile(self._path(uri))

    def stamp(self, uri: str, kind: VersionKind) -> Stamp:
        """See `Source.stamp`: `sha256:…` of the bytes, or `stat:<size>-<modified, ns>`."""
        with self._told(), self.open(uri) as file:
            status = os.fstat(file.fileno())
            if kind == "stat":
                return status.st_size, _stat_version(status)
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            return status.st_size, f"sha256:{digest.hexdigest()}"

    def head(self, uri: str, count: int) -> bytes:
        """See `Source.head`."""
        with self._told(), self.open(uri) as file:
            return file.read(count)

    def read(self, uri: str, version: str | None = None) -> bytes:
        """See `Source.read`."""
        with self._told(), self.open(uri) as file:
            told_by_stat = version is not None and version.startswith("stat:")
            if told_by_stat and _stat_version(os.fstat(file.fileno())) != version:
                raise Changed
            return file.read()

    def open(self, uri: str) -> BinaryIO:
        """See `Source.open`. A pipe is not waited for."""
        descriptor = os.open(self._path(uri), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a plain file")
        return os.fdopen(descriptor, "rb")


def _stat_version(status: os.stat_result) -> str:
    return f"stat:{status.st_size}-{status.st_mtime_ns}"
