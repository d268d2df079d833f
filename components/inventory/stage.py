"""List an archive into a table: what it holds, under which pseudonyms, in which split. No pixel is read.

The table's bytes change only when the archive, the pseudonym key or the parameters do: it is the archive's version for
every later stage. It knows real names and is never pushed.
"""

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.core import paths
from components.core.archives import open_archive
from components.core.archives.listing import Stamps, inventory_of, list_archive
from components.core.params import Params
from components.core.pseudonyms import Pseudonyms
from components.core.records.tables import write_table
from components.core.workers import worker_count
from components.inventory.members import note_members

COUNTED = ["bytes", "study", "patient", "report_uri", "split"]


def run(params: Params, dataset: str) -> dict[str, Any]:
    """List the archive of a dataset into `data/inventory/<dataset>.parquet`; returns the stage's figures.

    Raises:
        ValueError: the dataset is not in params.yaml; its root or one of its tables is missing; it holds no image;
            there is no pseudonym key.
    """
    if dataset not in params.datasets:
        raise ValueError(f"{dataset!r} is not one of the datasets in params.yaml ({', '.join(params.datasets)})")
    pseudonyms = Pseudonyms.from_key_file()
    archive = open_archive(params.datasets[dataset].layout, params.datasets[dataset].root)
    listed = list_archive(archive, Stamps(archive, params.inventory.version, worker_count()))
    inventory = inventory_of(dataset, listed, pseudonyms, params.inventory)
    path = paths.inventory_table(dataset)
    write_table(path, inventory, "inventory", {"dataset": dataset, "key_fingerprint": pseudonyms.fingerprint})
    with path.open("rb") as file:
        told = {**figures(inventory), "digest": hashlib.file_digest(file, "sha256").hexdigest()}
    note_members(dataset, told, pc.unique(inventory["patient_id"]).to_pylist())
    return told


def figures(inventory: pa.Table) -> dict[str, Any]:
    """What the listing holds, in numbers."""
    images = inventory.select(["uri", *COUNTED]).filter(pc.field("uri") != "").select(COUNTED)

    def distinct(rows: pa.Table, column: str) -> int:
        return int(pc.count_distinct(rows[column]).as_py())  # of those that are not null

    def within(split: str) -> dict[str, int]:
        rows = images.select(["patient", "split"]).filter(pc.field("split") == split)
        return {"images": len(rows), "patients": distinct(rows, "patient")}

    problems = pc.value_counts(inventory["problem"].drop_null()).to_pylist()
    return {
        "images": len(images),
        "studies": distinct(inventory, "study"),
        "studies_without_image": len(inventory) - len(images),
        "studies_without_report": distinct(images.filter(pc.field("report_uri").is_null()), "study"),
        "patients": distinct(inventory, "patient"),
        "reports": distinct(inventory, "report_uri"),
        "bytes": pc.sum(images.filter(pc.field("bytes") > 0)["bytes"]).as_py() or 0,
        "split": {split: within(split) for split in ("train", "validate", "test")},
        "problems": {told["values"]: told["counts"] for told in sorted(problems, key=lambda told: told["values"])},
    }
