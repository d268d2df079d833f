"""Where what outlives a run lies: outside every output, the same folder in every workspace of a repository."""

import hashlib
import os
from pathlib import Path

from components.core.records.whole import read_json, write_json
from components.core.tracking import main_checkout

STATE_VARIABLE = "MEDSLIP_STATE_DIR"


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
