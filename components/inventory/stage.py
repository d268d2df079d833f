"""List an archive into a table: what it holds, under which pseudonyms, in which split. No pixel is read.

The table's bytes change only when the archive, the pseudonym key or the parameters do: it is the archive's version for
every later stage. It knows real names and is never pushed.
"""

import hashlib
from collections import Counter
from typing import Any

from components.core import paths
from components.core.archives import open_archive
from components.core.archives.listing import Stamps, inventory_rows, list_archive
from components.core.params import Params
from components.core.pseudonyms import Pseudonyms
from components.core.records.tables import write_table
from components.core.workers import worker_count
from components.inventory.members import note_members


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
    rows = inventory_rows(dataset, listed, pseudonyms, params.inventory)
    table = paths.inventory_table(dataset)
    write_table(table, rows, "inventory", {"dataset": dataset, "key_fingerprint": pseudonyms.fingerprint})
    told = {**figures(rows), "digest": hashlib.sha256(table.read_bytes()).hexdigest()}
    note_members(dataset, told, (row["patient_id"] for row in rows))
    return told


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the listing holds, in numbers."""
    images = [row for row in rows if row["uri"]]
    return {
        "images": len(images),
        "studies": len({row["study"] for row in rows}),
        "studies_without_image": len(rows) - len(images),
        "studies_without_report": len({row["study"] for row in images if row["report_uri"] is None}),
        "patients": len({row["patient"] for row in rows}),
        "reports": len({row["report_uri"] for row in rows if row["report_uri"] is not None}),
        "bytes": sum(row["bytes"] for row in images if row["bytes"] > 0),
        "split": {
            split: {
                "images": sum(row["split"] == split for row in images),
                "patients": len({row["patient"] for row in images if row["split"] == split}),
            }
            for split in ("train", "validate", "test")
        },
        "problems": dict(sorted(Counter(row["problem"] for row in rows if row["problem"]).items())),
    }
