"""Tensors to a file, where a full disk is a full disk, and from a pickle, of which nothing is executed."""

import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    The library's own `save_file` writes under a name of its own beside the path, which a kill leaves there for good,
    and for its user's eyes alone.

    Raises:
        OSError: the system refused.
    """
    try:
        path.write_bytes(save(dict(tensors), metadata))
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def read_pickled(path: Path) -> Any:
    """What a torch pickle holds, of tensors and plain values alone, on the CPU.

    Raises:
        ValueError: the file is no torch pickle, is corrupt or cut short, or asks for code.
    """
    _refuse_damage(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it asks for {found.group(1)}, and code is never run" if found else "it is no torch checkpoint"
        raise ValueError(f"{path} is not read, since only tensors and plain values are: {reason}") from None
    except (
        SafetensorError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
    ) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": ")
        raise ValueError(f"{path} is no torch checkpoint, or is corrupt or cut short ({reason})") from None


def _refuse_damage(path: Path) -> None:
    """Torch does not look at the checksums of a checkpoint that is a zip archive."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(f"{path} is corrupt or cut short: {error}") from None
    if broken is not None:
        raise ValueError(f"{path} is corrupt: the checksum of {broken} does not fit")
