"""The state of an unfinished training: one safetensors file, written whole, no pickle.

Lightning gives its checkpoint as nested dictionaries. Their tensors become the file's tensors; the rest, with
references in the tensors' places, becomes JSON in the file's metadata.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError, safe_open

from components.core.records.digests import file_digest
from components.core.records.shards import ImageShards
from components.core.records.whole import DISK_FULL, read_json, whole_file, write_json
from components.core.state import STATE_VARIABLE
from components.core.tensors import write_tensors

SAMPLED_ROWS = 64


def code_in(folders: Iterable[Path]) -> list[Path]:
    """The files of code below some folders, data of the vocabulary included."""
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".yaml")]


def digest_of(settings: dict[str, Any], files: list[Path], shards: ImageShards) -> str:
    """A digest of everything that the result depends on.

    Args:
        settings: parameters.
        files: hashed whole: tables, labels, books, code.
        shards: those that were opened; of each the size and up to 64 rows are hashed, since the manifest, which names
            the source of every image, is among the files.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    for number, shard in sorted(shards.shards.items()):
        digest.update(f"{number} {shard.shape}".encode())
        for row in np.linspace(0, len(shard) - 1, min(SAMPLED_ROWS, len(shard))).astype(int):
            digest.update(shard[row].tobytes())
    return digest.hexdigest()[:32]


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON that `_decode` turns back; tensors are collected under running numbers."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        return {"pairs": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [_encode(item, tensors) for item in value]}
    assert value is None or isinstance(value, bool | int | float | str), f"{type(value)} cannot be kept in the state"
    return value


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "pairs":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
    items = [_decode(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)


class StateFile(CheckpointIO):
    """Reads and writes Lightning's checkpoints in this form."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write whole: a process that dies while writing leaves the last state as it was."""
        tensors: dict[str, torch.Tensor] = {}
        state = json.dumps(_encode(checkpoint, tensors))
        with whole_file(Path(path)) as temporary:
            write_tensors(tensors, temporary, {"state": state})

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Read it back, on the CPU.

        Raises:
            ValueError: the file is corrupt.
        """
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                state = json.loads(file.metadata()["state"])
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is corrupt, remove it to start the training again: {error}") from None
        return dict(_decode(state, tensors))

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a state file."""
        Path(path).unlink(missing_ok=True)


class Checkpoints:
    """The last checkpoints of one training, and the best, as pairs of files: tensors (safetensors) and state (JSON).

    The JSON is written last and holds the digest of the tensors and its own: a pair of which a kill, a full disk or a
    bad disk left only a part does not count, and the one before it is taken.

    Args:
        folder: theirs alone, made where it is missing.
        keep: how many of the last are kept.

    Raises:
        ValueError: the folder cannot be made.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep
        self._passed_over: set[Path] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            raise ValueError(
                f"{folder}, where an unfinished training is kept, cannot be made ({error.strerror}): "
                f"{STATE_VARIABLE} must name a folder that can be written"
            ) from None

    def save(self, step: int, state: dict[str, Any], score: float | None = None) -> None:
        """Write a checkpoint, to the disk itself, and remove those that are no longer kept.

        Args:
            step: after which it is.
            state: nested dictionaries, lists and tuples of tensors, numbers and texts.
            score: of its weights, where they were looked at: the checkpoint with the largest is kept.

        Raises:
            OSError: the disk is full; the checkpoints before are as they were.
        """
        tensors: dict[str, torch.Tensor] = {}
        content: dict[str, Any] = {"step": step, "score": score, "state": _encode(state, tensors)}
        path = self.folder / f"step-{step:09d}"
        path.with_suffix(".json").unlink(missing_ok=True)
        with whole_file(path.with_suffix(".safetensors")) as temporary:
            write_tensors(tensors, temporary)
            _to_disk(temporary)
            content["tensors"] = file_digest(temporary)
        content["digest"] = _digest_of_json(content)
        write_json(path.with_suffix(".json"), content)
        _to_disk(path.with_suffix(".json"))
        _to_disk(self.folder)
        self._passed_over.discard(path.with_suffix(".json"))
        self._prune()

    def latest(self) -> dict[str, Any] | None:
        """The state of the newest checkpoint that is whole; None where there is none. Says which it passes over.

        Those that it passes over stay until the next one is written, and then go: they take no place of a good one.
        """
        for path in sorted(self.folder.glob("step-*.json"), reverse=True):
            try:
                return _read(path)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                print(f"{path.stem} is passed over, it is corrupt or cut short: {error}", file=sys.stderr)
                self._passed_over.add(path)
        return None

    def _prune(self) -> None:
        """Remove all but the last and the best, the JSON first: tensors without it count for nothing."""
        paths = [path for path in sorted(self.folder.glob("step-*.json")) if path.is_file()]
        good = [path for path in paths if path not in self._passed_over]
        kept = set(good[-self.keep :])
        scores = {path: score for path in good if (score := _score(path)) is not None}
        if scores:
            kept.add(max(scores, key=scores.__getitem__))
        for path in paths:
            if path not in kept:
                path.unlink()
        for tensors in self.folder.glob("step-*.safetensors"):
            if not tensors.with_suffix(".json").exists():
                tensors.unlink()


def _read(path: Path) -> dict[str, Any]:
    content = _content(path)
    tensors_file = path.with_suffix(".safetensors")
    if content["tensors"] != file_digest(tensors_file):
        raise ValueError("the digest of its tensors does not fit")
    with safe_open(tensors_file, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return dict(_decode(content["state"], tensors))


def _content(path: Path) -> dict[str, Any]:
    """What a checkpoint's JSON holds, if it is what was written."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError("it is no mapping")
    if content.pop("digest") != _digest_of_json(content):
        raise ValueError("its digest does not fit")
    return content


def _score(path: Path) -> float | None:
    try:
        return float(_content(path)["score"])
    except (OSError, ValueError, KeyError, TypeError):  # or none was given
        return None


def _digest_of_json(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until a file, or what a folder lists, would outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
