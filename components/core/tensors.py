"""Tensors to a file, where a full disk is a full disk, and from a pickle, of which nothing is executed."""

import errno
import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Raises:
        OSError: the system refused, with its number, which safetensors tells of in words alone.
    """
    try:
        save_file(dict(tensors), path, metadata=metadata)
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        raise OSError(int(found[1]) if found else errno.EIO, f"the file was not written: {error}", str(path)) from None


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
        raise ValueError(f"{path} is corrupt or cut short: {' '.join(str(error).split())[:200]}") from None


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
