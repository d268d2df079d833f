"""Digests of files."""

import hashlib
from collections.abc import Collection
from pathlib import Path


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, which are never all in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path, kinds: Collection[str] = ()) -> str:
    """SHA-256 over names and bytes of a folder's files; of those with the suffixes `kinds` where some are given."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (not kinds or path.suffix in kinds):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
