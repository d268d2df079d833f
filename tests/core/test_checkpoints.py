"""The state of an unfinished training on disk."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.checkpoints import Checkpoints, StateFile, digest_of
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


def step(number: int) -> dict[str, object]:
    return {"step": number, "weights": {"a": torch.full((100,), float(number))}}


def latest(checkpoints: Checkpoints) -> object:
    state = checkpoints.latest()
    return None if state is None else state["step"]


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "state", keep=2)
    assert checkpoints.latest() is None
    for number, score in enumerate((0.5, 0.9, None, 0.7, 0.6)):
        checkpoints.save(number, step(number), score)
    names = sorted(path.name for path in (tmp_path / "state").iterdir())
    kept = [f"step-00000000{number}" for number in (1, 3, 4)]
    assert names == sorted(f"{name}.{kind}" for name in kept for kind in ("json", "safetensors"))
    state = checkpoints.latest()
    assert state is not None
    assert torch.equal(state["weights"]["a"], torch.full((100,), 4.0))


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize("fault", ["cut short", "emptied", "a bit flipped", "gone"])
def test_a_checkpoint_that_is_not_whole_is_passed_over(
    tmp_path: Path, kind: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        checkpoints.save(number, step(number))
    path = tmp_path / f"step-000000002.{kind}"
    content = path.read_bytes()
    place = content.index(b"2") if kind == "json" else len(content) - 7
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    if fault == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut short": content[:-10], "emptied": b"", "a bit flipped": flipped}[fault])
    assert latest(checkpoints) == 1
    assert ("step-000000002 is passed over" in capsys.readouterr().err) == ((kind, fault) != ("json", "gone"))
    checkpoints.save(2, step(2))
    assert latest(checkpoints) == 2


@pytest.mark.parametrize("content", ["null", "3", "[]", '"text"', '{"score": []}', "[" * 200_000])
def test_json_that_is_no_state_is_passed_over(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        checkpoints.save(number, step(number))
    (tmp_path / "step-000000002.json").write_text(content)
    assert latest(checkpoints) == 1
    assert "step-000000002 is passed over" in capsys.readouterr().err
    checkpoints.save(3, step(3))
    assert latest(checkpoints) == 3


def test_damaged_checkpoints_of_later_steps_take_no_place_of_a_good_one(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(9, step(9), score=0.5)
    for number in (50, 60):
        (tmp_path / f"step-0000000{number}.json").write_text('{"score": 0.9')
        (tmp_path / f"step-0000000{number}.safetensors").write_text("x")
    again = Checkpoints(tmp_path)
    assert latest(again) == 9
    for number in (10, 11, 12):
        again.save(number, step(number))
    assert latest(Checkpoints(tmp_path)) == 12
    names = {path.stem for path in tmp_path.iterdir()}
    assert names == {"step-000000009", "step-000000011", "step-000000012"}  # the best, and the last two


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file/state, where .* cannot be made \(Not a directory\): MEDSLIP_STATE_DIR"):
        Checkpoints(tmp_path / "file/state")


@pytest.mark.parametrize("limit", [100, 600], ids=["the tensors", "no more than the tensors"])
def test_a_full_disk_leaves_the_checkpoints_before(tmp_path: Path, limit: int) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        checkpoints.save(number, step(number))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match=r"File too large|os error 27"):
            checkpoints.save(3, {**step(3), "text": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.items() <= after.items()
    assert not [name for name in after if name.startswith(".")]
    assert latest(checkpoints) == 2
