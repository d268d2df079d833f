"""Where what outlives a run lies: outside every output, the same folder in every workspace of a repository."""

import os
from pathlib import Path

from components.core.tracking import main_checkout

STATE_VARIABLE = "MEDSLIP_STATE_DIR"


def images_state() -> Path:
    """The folder of decoded images: below the one that MEDSLIP_STATE_DIR names, else `.state` of the main checkout."""
    named = os.environ.get(STATE_VARIABLE)
    return (Path(named) if named else main_checkout() / ".state") / "images"
