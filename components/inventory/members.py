"""Which patients an archive's listings had, by what tells their figures in MLflow: how a run is known to have seen one.

The lists hold pseudonyms and lie beside the other state, outside every output.
"""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.core.records.whole import whole_file
from components.core.state import state_folder
from components.core.tracking import figures_digest


def _path(dataset: str, digest: str) -> Path:
    return state_folder("members") / dataset / f"{digest}.gz"


def note_members(dataset: str, figures: Mapping[str, Any], patient_ids: Iterable[str]) -> None:
    """Note who was in the listing with these figures."""
    path = _path(dataset, figures_digest(figures))
    if not path.exists():
        with whole_file(path) as temporary:
            temporary.write_bytes(gzip.compress("\n".join(sorted(set(patient_ids))).encode(), mtime=0))


def had_member(dataset: str, digest: str | None, patient_id: str) -> bool | None:
    """Whether the listing with figures of this digest had a patient, None where nobody noted it."""
    path = _path(dataset, digest or "none")
    return patient_id in gzip.decompress(path.read_bytes()).decode().split() if path.exists() else None


def strike(dataset: str, patient_id: str) -> None:
    """Take a patient out of every list, once the runs are told."""
    for path in _path(dataset, "").parent.glob("*.gz"):
        members = gzip.decompress(path.read_bytes()).decode().split()
        with whole_file(path) as temporary:
            temporary.write_bytes(gzip.compress("\n".join(m for m in members if m != patient_id).encode(), mtime=0))
