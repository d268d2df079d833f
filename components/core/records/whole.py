"""Outputs that appear whole or not at all: written under a temporary name beside their place, then renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes the name `path` when the block ends well, replacing what stood there.

    Raises:
        Whatever the block raises; then nothing is left and `path` is as before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        os.chmod(temporary, 0o755)
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file name that becomes `path` when the block ends well (see `whole_folder`).

    Raises:
        ValueError: something that is no plain file stands there: a folder, a pipe, a terminal.
    """
    if (path.exists() and not path.is_file()) or (path.is_symlink() and not path.exists()):
        raise ValueError(f"{path} is not a file that could be replaced")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole, keys in their given order, with a final newline; not-a-number is refused."""
    with whole_file(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote.

    Raises:
        ValueError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: run the stage that makes it first") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
