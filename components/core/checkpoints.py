"""The state of an unfinished training: one safetensors file, written whole, no pickle.

Lightning gives its checkpoint as nested dictionaries. Their tensors become the file's tensors; the rest, with
references in the tensors' places, becomes JSON in the file's metadata.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from components.core.records.shards import ImageShards
from components.core.records.whole import whole_file

SAMPLED_ROWS = 64


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
            save_file(tensors, temporary, metadata={"state": state})

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
