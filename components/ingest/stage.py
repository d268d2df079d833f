"""Decode the objects of an inventory into de-identified 8-bit shards, a manifest, annotations, and what was refused.

A pure function of the inventory and the parameters: the same whatever the number of processes (MEDSLIP_WORKERS). Every
row of the inventory ends in the manifest or among the rejected. Decoded images are kept in a store outside the outputs
(below MEDSLIP_STATE_DIR, or .state), so that a grown archive, or a run that was killed, costs only what is new.
"""

from typing import Any

from components.core import paths
from components.core.params import Params
from components.core.pseudonyms import Pseudonyms
from components.core.records.tables import read_arrow, read_metadata
from components.core.state import images_state
from components.core.workers import worker_count
from components.ingest.fill import fill
from components.ingest.images import Task


def run(params: Params, dataset: str) -> dict[str, Any]:
    """Fill `data/images/<dataset>` from the inventory; returns the stage's figures.

    Raises:
        ValueError: the dataset is not in params.yaml, its inventory is missing or was made with another pseudonym key,
            or its root cannot be opened.
        TryAgain: the archive cannot be reached any more.
        OSError: the disk is full.
    """
    if dataset not in params.datasets:
        raise ValueError(f"{dataset!r} is not one of the datasets in params.yaml ({', '.join(params.datasets)})")
    table = paths.inventory_table(dataset)
    inventory = read_arrow(table, "inventory")
    if read_metadata(table, "inventory")["key_fingerprint"] != Pseudonyms.from_key_file().fingerprint:
        raise ValueError(f"{table} was made with another pseudonym key: run inventory again")
    task = Task(dataset, params.datasets[dataset], params.ingest, images_state())
    return fill(paths.IMAGES / dataset, inventory, task, worker_count())
