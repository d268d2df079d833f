"""Where what outlives a run lies: outside every output, the same folder in every workspace of a repository."""

import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from components.core.records.whole import read_json, write_json
from components.core.stopping import told_to_stop
from components.core.tracking import main_checkout

STATE_VARIABLE = "MEDSLIP_STATE_DIR"

_done_with: ContextVar[list[Path] | None] = ContextVar("done_with", default=None)


def remove_when_done(folder: Path) -> None:
    """Remove the state of a training that has ended: at the end of `kept_until_done`, or at once outside it."""
    waiting = _done_with.get()
    if waiting is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        waiting.append(folder)


@contextmanager
def kept_until_done() -> Iterator[None]:
    """Keep what `remove_when_done` names within the block until it has ended well; where it raises, it all stays.

    A stop that comes while it is being removed is too late: half a state would be worth nothing.
    """
    waiting: list[Path] = []
    token = _done_with.set(waiting)
    try:
        yield
        with told_to_stop(signal.SIGTERM, signal.SIGINT):
            for folder in waiting:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        _done_with.reset(token)


def state_folder(name: str) -> Path:
    """A folder below the one that MEDSLIP_STATE_DIR names, else below `.state` of the main checkout."""
    named = os.environ.get(STATE_VARIABLE)
    return (Path(named) if named else main_checkout() / ".state") / name


def images_state() -> Path:
    """Where decoded images are kept (records.image_store)."""
    return state_folder("images")


def note_folder_output(out: Path, root: str) -> None:
    """Note where a folder's shards went and what they were made of: who is to be forgotten may be in them."""
    place = os.path.abspath(out)
    source = root if "://" in root else os.path.abspath(root)
    name = hashlib.sha256(place.encode()).hexdigest()
    write_json(state_folder("folders") / f"{name}.json", {"out": place, "root": source})


def folder_outputs() -> list[tuple[Path, str]]:
    """Every output that was noted, with its root."""
    notes = [read_json(path) for path in sorted(state_folder("folders").glob("*.json"))]
    return [(Path(note["out"]), note["root"]) for note in notes]


def folder_inventory(out: Path) -> Path:
    """The table beside a folder's output that leads from its ids back to the files."""
    return out.with_name(f"{out.name}.inventory.parquet")
