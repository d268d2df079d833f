"""Images as memory-mapped shards: uint8 [n, S, S] in .npy files of at most 1 GiB."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

SHARD_BYTES = 1 << 30


def shard_name(shard: int) -> str:
    """The file name of a shard."""
    return f"shard-{shard:05d}.npy"


class ShardWriter:
    """Writes images one after another and says where each went.

    Written, not mapped: a full disk then ends in an error, where a mapped file would end the process.

    Args:
        folder: where the shards go.
        size: side S of the images in pixels.
        count: the most images that may come; fewer make the last shard shorter.
        shard_bytes: the most bytes of pixels in a shard.

    Example:
        >>> with ShardWriter(folder, size=160, count=3000) as writer:
        ...     shard, row = writer.add(image_HW)
    """

    def __init__(self, folder: Path, size: int, count: int, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.size, self.count = folder, size, count
        self.per_shard = max(1, shard_bytes // (size * size))
        self.added = 0
        self.current: BinaryIO | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self.current is not None:
            with self.current as file:
                if kind is None:
                    self._write_header(file, (self.added - 1) % self.per_shard + 1)

    def _write_header(self, file: BinaryIO, rows: int) -> None:
        file.seek(0)
        shape = {"descr": "|u1", "fortran_order": False, "shape": (rows, self.size, self.size)}
        np.lib.format.write_array_header_1_0(file, shape)  # as long for any number of rows

    def add(self, image_HW: npt.NDArray[np.uint8]) -> tuple[int, int]:
        """Append an image of the declared size; returns its shard and row."""
        assert image_HW.shape == (self.size, self.size)
        assert image_HW.dtype == np.uint8
        assert self.added < self.count, f"more than {self.count} images were added"
        shard, row = divmod(self.added, self.per_shard)
        if row == 0:
            if self.current is not None:
                self.current.close()
            self.current = (self.folder / shard_name(shard)).open("wb")
            self._write_header(self.current, min(self.per_shard, self.count - self.added))
        assert self.current is not None
        self.current.write(np.ascontiguousarray(image_HW).data)
        self.added += 1
        return shard, row


class ImageShards:
    """Reads images of a folder of shards without loading the whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: dict[int, np.ndarray] = {}

    def __getitem__(self, place: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The image [S, S] at (shard, row): a view of the mapped file, read-only.

        Raises:
            ValueError: the shard's file is missing or corrupt, or has no such row.
        """
        shard, row = place
        if place not in self:
            raise ValueError(
                f"{self.folder / shard_name(shard)} has {len(self.open(shard))} images, the manifest names row {row}: "
                "run ingest again"
            )
        return self.open(shard)[row]

    def __contains__(self, place: tuple[int, int]) -> bool:
        """Whether the shard, whose file must be there and whole, has the row."""
        shard, row = place
        return 0 <= row < len(self.open(shard))

    def open(self, shard: int) -> npt.NDArray[np.uint8]:
        """A whole shard [n, S, S], mapped, read-only.

        Raises:
            ValueError: its file is missing or corrupt, or holds no images of this form.
        """
        if shard not in self.shards:
            path = self.folder / shard_name(shard)
            if not path.is_file():
                raise ValueError(f"{path} does not exist: run ingest first")
            try:
                images_NSS = np.load(path, mmap_mode="r")
            except (EOFError, ValueError):
                raise ValueError(f"{path} is corrupt or cut short: run ingest again") from None
            shape = images_NSS.shape
            if images_NSS.dtype != np.uint8 or len(shape) != 3 or shape[1] != shape[2] or not shape[1]:
                raise ValueError(f"{path} holds {images_NSS.dtype} {shape}, not uint8 [n, S, S]: run ingest again")
            self.shards[shard] = images_NSS
        return self.shards[shard]
