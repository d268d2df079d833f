"""Decoded images that outlive a run: a grown archive, and a run that was killed, cost only what is new.

The store lies beside the other state, outside every output. An entry is named after the source's version and the
settings it was decoded with; it holds facts and, where the object gives an image, its pixels, and appears whole.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

UNFINISHED = "unfinished"  # entries of runs that were killed while they wrote


@dataclass(frozen=True)
class Entry:
    """What an object gave.

    Attributes:
        facts: of the object and its header, or `reason` and `message` where it is refused.
        image_SS: uint8 [S, S], or None where it is refused.
    """

    facts: Mapping[str, Any]
    image_SS: npt.NDArray[np.uint8] | None


def entry_name(root: str, uri: str, version: str) -> str:
    """The name of a source's entry: the bytes alone where the version tells them, else the place, too."""
    place = [] if version.startswith("sha256:") else [root if "://" in root else os.path.abspath(root), uri]
    return hashlib.sha256("\0".join([version, *place]).encode()).hexdigest()


def pixels_digest(image_SS: npt.NDArray[np.uint8], rows: int, columns: int) -> str:
    """Tells whether two images have the same pixels."""
    return hashlib.sha256(f"{rows} {columns}\n".encode() + image_SS.tobytes()).hexdigest()


class ImageStore:
    """The entries that were made with the same settings.

    Args:
        base: the folder of all settings.
        settings: everything that an entry depends on but the source.
    """

    def __init__(self, base: Path, settings: Any) -> None:
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self.folder = base / digest[:32]

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name

    def put(self, name: str, entry: Entry) -> None:
        """Keep an entry."""
        facts = json.dumps(dict(entry.facts)).encode()
        pixels = b"" if entry.image_SS is None else entry.image_SS.tobytes()
        path, unfinished = self._path(name), self.folder / UNFINISHED
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir(exist_ok=True)
        # Not `whole_file`: runs in several containers may make one entry at once.
        descriptor, temporary = tempfile.mkstemp(dir=unfinished)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(len(facts).to_bytes(4, "little") + facts + pixels)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)  # a full disk must not stay full of halves
            raise

    def get(self, name: str) -> Entry | None:
        """An entry, or None where there is none, or a damaged one (a machine that lost its power leaves such)."""
        try:
            content = self._path(name).read_bytes()
            end = 4 + int.from_bytes(content[:4], "little")
            facts = json.loads(content[4:end])
        except (OSError, ValueError):
            return None
        if "reason" in facts:
            return Entry(facts, None)
        pixels = np.frombuffer(content, np.uint8, offset=end)
        side = facts["size"]
        if len(pixels) != side * side:
            return None
        image_SS = pixels.reshape(side, side)
        whole = pixels_digest(image_SS, facts["rows"], facts["columns"]) == facts["pixels_sha256"]
        return Entry(facts, image_SS) if whole else None

    def drop(self, name: str) -> None:
        """Remove an entry."""
        self._path(name).unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Whether there is an entry; `get` says whether it is sound."""
        return self._path(name).exists()


def drop_everywhere(base: Path, names: Iterable[str]) -> int:
    """Remove entries under all settings, and what was left unfinished; returns how many there were."""
    removed = 0
    for folder in base.glob("*") if base.is_dir() else ():
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
        for name in names:
            path = folder / name[:2] / name
            if path.exists():
                path.unlink()
                removed += 1
    return removed
