"""Outputs that appear whole or not at all: written under a temporary name beside their place, then renamed."""

import errno
import glob
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _temporary(path: Path) -> Path:
    """A name beside a path that tells whose it is; what processes that were killed left there is cleared away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another container has processes of its own, whose numbers mean nothing here.
    namespace = "".join(filter(str.isdecimal, os.readlink("/proc/self/ns/pid")))
    for left in path.parent.glob(f".*-{namespace}.{glob.escape(path.name)}"):
        owner = left.name[1:].partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            if not path.exists() and (left / "before").is_dir():  # killed between the two renames
                os.replace(left / "before", path)
            _remove(left)
    return path.with_name(f".{os.getpid()}-{namespace}.{path.name}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes the name `path` when the block ends well, replacing what stood there.

    Raises:
        Whatever the block raises; then nothing is left and `path` is as before.
    """
    temporary = _temporary(path)
    before = temporary / "before"
    new = temporary / "new"
    try:
        temporary.mkdir()
        new.mkdir()
        yield new
        if path.is_dir():
            os.replace(path, before)
        os.replace(new, path)
    finally:
        _remove(temporary)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file name that becomes `path` when the block ends well (see `whole_folder`).

    Raises:
        ValueError: something that is no plain file stands there: a folder, a pipe, a terminal.
        OSError: the disk is full; the error then names `path`, also where the system told no name.
    """
    if (path.exists() and not path.is_file()) or (path.is_symlink() and not path.exists()):
        raise ValueError(f"{path} is not a file that could be replaced")
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in DISK_FULL and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole, keys in their given order, with a final newline.

    Raises:
        ValueError: a number is not finite.
    """
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise ValueError(f"{path} cannot be written, a number of it is not finite: {error}") from None
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote.

    Raises:
        ValueError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: run the stage that makes it first") from None
    except RecursionError:
        raise ValueError(f"{path} is nested deeper than any file of ours") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
