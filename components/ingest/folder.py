"""Any folder of DICOM files → shards, with no other stage before it and no params.yaml."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from components.core.archives import open_archive
from components.core.archives.folder import Folder
from components.core.archives.listing import Stamps, inventory_of, list_archive
from components.core.explain import explain
from components.core.params import Dataset, Ingest, Inventory, Objection
from components.core.pseudonyms import Pseudonyms, make_key
from components.core.records.tables import write_table
from components.core.state import folder_inventory, images_state, note_folder_output
from components.core.workers import worker_count
from components.ingest.fill import fill
from components.ingest.images import Task

NAME: Literal["folder"] = "folder"
LISTING = Inventory(version="stat", validate_share=0.1, test_share=0.2)
PERCENTILES = (0.5, 99.5)
MADE = ("shard-*.npy", "manifest.parquet", "annotations.parquet", "rejected.parquet")


def ingest_folder(root: str, out: Path, size: int, window: int, allow: Sequence[Objection]) -> None:
    """Bring a tree of DICOM files into shards.

    Args:
        root: the folder, or s3://bucket/prefix.
        out: where shards, manifest, annotations and rejected go; it appears whole. Beside it comes
            `<out>.inventory.parquet`, which knows the real names and leads from each id back to its file.
        size, window, allow: as in the section `ingest` of params.yaml.

    Raises:
        ValueError: the root cannot be opened or holds no image, an argument is not allowed, or something else than an
            earlier run's outputs stands at `out`.
        TryAgain: the archive cannot be reached any more.
        OSError: the disk is full.
    """
    try:
        settings = Ingest(size=size, window=window, percentiles=PERCENTILES, allow=tuple(allow))
    except ValidationError as error:
        raise ValueError(explain(Ingest, error, "the command line")) from None
    _refuse_odd_names(root, out)
    _refuse_to_replace(out)
    make_key()
    pseudonyms = Pseudonyms.from_key_file()
    archive = open_archive(NAME, root)
    assert isinstance(archive, Folder)
    listed = list_archive(archive, Stamps(archive, LISTING.version, worker_count()))
    inventory = inventory_of(NAME, listed, pseudonyms, LISTING)
    note_folder_output(out, root)
    task = Task(NAME, Dataset(layout=NAME, root=root), settings, images_state())
    figures = fill(out, inventory, task, worker_count())
    table = folder_inventory(out)
    write_table(table, inventory, "inventory", {"dataset": NAME, "key_fingerprint": pseudonyms.fingerprint})
    reasons = ", ".join(f"{count} {reason}" for reason, count in figures["rejected_by_reason"].items())
    rejected = figures["rejected"] + figures["rejected_studies"]
    print(f"{out}: {figures['manifest']} images, {rejected} rejected{f' ({reasons})' if reasons else ''}")
    if skipped := ", ".join(f"{count} {ending}" for ending, count in sorted((+archive.skipped).items())):
        print(f"not looked at, since their names end like no DICOM file: {skipped}", file=sys.stderr)
    print(f"{table}: whose they are; it names patients, keep it to yourself", file=sys.stderr)


def _refuse_odd_names(*names: str | Path) -> None:
    """Refuse names that no table or message can hold."""
    try:
        for name in names:
            str(name).encode()
    except UnicodeEncodeError:
        raise ValueError("the name of DIR or OUT is not UTF-8: give one that is, such as a link to it") from None


def _refuse_to_replace(out: Path) -> None:
    """Refuse a place where anything stands that this command did not make: it would be gone, an archive above all."""
    if not out.name or out.name == "..":
        raise ValueError(f"{out} is no name of a new folder")
    if out.exists() and not (out.is_dir() and all(any(map(path.match, MADE)) for path in out.iterdir())):
        raise ValueError(f"{out} holds something else than an earlier run's outputs: it would be lost")
