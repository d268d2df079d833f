"""Shards: what is written comes back, in files of a bounded size."""

from pathlib import Path

import numpy as np
import pytest

from components.core.records.shards import ImageShards, ShardWriter


@pytest.mark.parametrize(("expected", "added"), [(7, 7), (7, 5), (7, 3), (9, 6), (4, 0)])
def test_images_come_back_from_where_the_writer_put_them(tmp_path: Path, expected: int, added: int) -> None:
    images = [np.full((8, 8), number + 1, np.uint8) for number in range(added)]
    with ShardWriter(tmp_path, size=8, count=expected, shard_bytes=3 * 64) as writer:
        places = [writer.add(image) for image in images]
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"shard-{number:05d}.npy" for number in range(-(-added // 3))]
    assert sum(len(np.load(tmp_path / name)) for name in files) == added
    shards = ImageShards(tmp_path)
    for image, place in zip(images, places, strict=True):
        np.testing.assert_array_equal(shards[place], image)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shard-00002\.npy does not exist: run ingest first"):
        ImageShards(tmp_path)[2, 0]


@pytest.mark.parametrize("fault", ["cut short", "empty", "no array"])
def test_a_corrupt_shard_is_named(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "shard-00000.npy"
    np.save(path, np.zeros((3, 8, 8), np.uint8))
    path.write_bytes({"cut short": path.read_bytes()[:-1], "empty": b"", "no array": b"images"}[fault])
    with pytest.raises(ValueError, match=r"shard-00000\.npy is corrupt or cut short: run ingest again"):
        ImageShards(tmp_path)[0, 0]


@pytest.mark.parametrize(("shape", "kind"), [((3, 8, 8), np.float32), ((3, 8, 7), np.uint8), ((3, 8), np.uint8),
                                             ((3, 0, 0), np.uint8)])  # fmt: skip
def test_what_holds_no_square_grey_images_is_refused(tmp_path: Path, shape: tuple[int, ...], kind: type) -> None:
    np.save(tmp_path / "shard-00000.npy", np.zeros(shape, kind))
    with pytest.raises(ValueError, match=r"shard-00000\.npy holds \w+ \(3, .*\), not uint8 \[n, S, S\]"):
        ImageShards(tmp_path)[0, 0]


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_a_shard_lacks_is_refused(tmp_path: Path, row: int) -> None:
    np.save(tmp_path / "shard-00000.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(
        ValueError, match=rf"shard-00000\.npy has 3 images, the manifest names row {row}: run ingest again"
    ):
        ImageShards(tmp_path)[0, row]
