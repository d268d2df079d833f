"""Where what outlives a run lies: outside every output, the same folder in every workspace of a repository."""

import os
from pathlib import Path

from components.core.tracking import main_checkout

STATE_VARIABLE = "MEDSLIP_STATE_DIR"


def state_folder(name: str) -> Path:
    """A folder below the one that MEDSLIP_STATE_DIR names, else below `.state` of the main checkout."""
    named = os.environ.get(STATE_VARIABLE)
    return (Path(named) if named else main_checkout() / ".state") / name


def images_state() -> Path:
    """Where decoded images are kept (records.image_store)."""
    return state_folder("images")
