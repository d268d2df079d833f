"""Brings the images of an inventory into the store, after a word on what that will take."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from components.core.records.image_store import ImageStore
from components.core.records.tables import Rows
from components.ingest.images import Task
from components.ingest.parallel import Facts, render_rows
from components.ingest.progress import Progress, duration, size

SAMPLE = 16  # objects that are decoded to know how long the others take


def decode(rows: Rows, task: Task, store: ImageStore, out: Path, workers: int) -> dict[int, Facts]:
    """Decode the rows that the store lacks; returns why a row has no entry, by its index.

    Args:
        rows: of the inventory, all with a file.
        task: what they are decoded with.
        store: where they go.
        out: the folder that the shards will lie in, for the word on the disk.
        workers: how many processes.

    Raises:
        OSError: the disks have not enough room (ENOSPC), or are full.
        TryAgain: the archive cannot be reached.
    """
    lost: dict[int, Facts] = {}
    absent = [index for index, row in enumerate(rows) if not store.has(task.entry_name(row))]
    progress = Progress(f"ingest {task.name}", len(absent), "objects")

    times: list[float] = []

    def work(indices: Sequence[int]) -> None:
        for place, facts in render_rows(rows.take(indices), task, workers):
            if facts:
                lost[indices[place]] = facts
            progress()
            times.append(time.monotonic())

    sample = absent[:: max(1, len(absent) // SAMPLE)][:SAMPLE]
    work(sample)
    seconds = (times[-1] - times[0]) / max(1, len(sample) - 1) * len(absent) if times else 0.0
    _announce(rows, len(absent), seconds, task, store.folder, out)
    chosen = set(sample)
    work([index for index in absent if index not in chosen])
    return lost


def _announce(rows: Rows, absent: int, seconds: float, task: Task, store: Path, out: Path) -> None:
    """Say what is expected, and end here where the disks have no room for it."""
    image = task.params.size**2
    total = sum(max(0, row["bytes"]) for row in rows)
    needs: dict[int, int] = {}
    free: dict[int, int] = {}
    for folder, count in ((store, absent), (out, len(rows))):
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        device = os.stat(place).st_dev
        needs[device] = needs.get(device, 0) + count * image
        free[device] = shutil.disk_usage(place).free
    print(
        f"ingest {task.name}: {len(rows)} objects of {size(total)}, {len(rows) - absent} known from earlier runs, "
        f"{absent} to decode in about {duration(seconds)}; {size(sum(needs.values()))} of disk "
        f"({size(min(free.values()))} free)",
        file=sys.stderr,
        flush=True,
    )
    if any(needs[device] > free[device] for device in needs):
        raise OSError(errno.ENOSPC, "not enough room")
