"""The state of an unfinished training on disk."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.checkpoints import StateFile, digest_of
from components.core.records.shards import ImageShards, ShardWriter

STATE = {
    "epoch": 3,
    "optimizer_states": [{"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]}],
    "weights": {"a": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "b": torch.tensor([True])},
    "nothing": None,
    "text": "x",
}


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state"
    StateFile().save_checkpoint(STATE, path)
    read = StateFile().load_checkpoint(path)
    assert read.keys() == STATE.keys()
    assert read["optimizer_states"] == STATE["optimizer_states"]
    for name, tensor in STATE["weights"].items():  # type: ignore[attr-defined]
        assert torch.equal(read["weights"][name], tensor)
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_that_fails_leaves_the_last_state(tmp_path: Path) -> None:
    path = tmp_path / "state"
    StateFile().save_checkpoint(STATE, path)
    before = path.read_bytes()
    with pytest.raises(AssertionError):
        StateFile().save_checkpoint({"object": object()}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("keep", [0, 7, 200, -10])
def test_a_corrupt_state_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "state"
    StateFile().save_checkpoint(STATE, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="is corrupt, remove it to start the training again"):
        StateFile().load_checkpoint(path)


def test_the_digest_tells_every_input_apart(tmp_path: Path) -> None:
    def digest(value: int, content: str, pixel: int) -> str:
        file = tmp_path / "file"
        file.write_text(content)
        with ShardWriter(tmp_path, 4, 3) as writer:
            for _ in range(3):
                writer.add(np.full((4, 4), pixel, np.uint8))
        shards = ImageShards(tmp_path)
        shards.open(0)
        return digest_of({"key": value}, [file], shards)

    assert digest(1, "a", 5) == digest(1, "a", 5)
    assert len({digest(1, "a", 5), digest(2, "a", 5), digest(1, "b", 5), digest(1, "a", 6)}) == 4
