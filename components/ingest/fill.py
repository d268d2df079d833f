"""From an inventory to a folder of shards, manifest, annotations and rejected: the same bytes however it was worked."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.core.dicom.header import age_band, normal_sex, normal_view
from components.core.records.letterbox import Letterbox
from components.core.records.shards import ShardWriter
from components.core.records.tables import REASONS, Gathered, Rows, write_table
from components.core.records.whole import whole_folder
from components.ingest.annotations import MENDED, annotation_rows
from components.ingest.decode import decode
from components.ingest.images import Row, Task, store_of
from components.ingest.parallel import Facts

NOTHING = (None, "UNKNOWN")
LABEL_WORDS = {1: "present", 0: "absent", -1: "not_told"}


def fill(out: Path, inventory: pa.Table, task: Task, workers: int) -> dict[str, Any]:
    """Fill a folder from an inventory; returns figures.

    Every row with a file ends in the manifest or among the rejected, and so does every study without one.
    """
    # In the order of pseudonyms: the archive's own order would tell who follows whom.
    images = inventory.filter(pc.field("uri") != "").sort_by("image_id")
    refused = {
        row["image_id"]: {"reason": row["problem"], "message": REASONS[row["problem"]]}
        for row in _rows_with(images, ~pc.field("problem").is_null())
    }
    listed = _rows_with(images, pc.field("problem").is_null())
    refused |= _decode(listed, task, out, workers)
    rejected = [
        _rejected(row["study_id"], "study", row["problem"]) for row in _rows_with(inventory, pc.field("uri") == "")
    ]
    rejected += [_rejected(image, "image", told["reason"], told["message"]) for image, told in refused.items()]
    accepted = listed.take([place for place, row in enumerate(listed) if row["image_id"] not in refused])
    with whole_folder(out) as folder:
        return _write(folder, accepted, rejected, task) | {
            "images": len(images),
            "bytes_read": pc.sum(images.filter(pc.field("bytes") > 0)["bytes"]).as_py() or 0,
        }


def _rows_with(table: pa.Table, condition: pc.Expression) -> Rows:
    return Rows(table.filter(condition))


def _decode(rows: Rows, task: Task, out: Path, workers: int) -> dict[str, Facts]:
    """Bring every row into the store; returns why images are refused."""
    store = store_of(task)
    refused: dict[str, Facts] = {}
    lost = decode(rows, task, store, out, workers)
    held: list[tuple[str, str, tuple[str, ...]]] = []  # the uri, the image and what it holds
    for index, row in enumerate(rows):
        entry = None if index in lost else store.get(task.entry_name(row))
        if entry is None and index not in lost:  # damaged, as a machine that lost its power leaves it
            store.drop(task.entry_name(row))
            again = decode(rows.take([index]), task, store, out, 1)
            if again:
                lost[index] = again[0]
            entry = store.get(task.entry_name(row))
        facts = lost[index] if entry is None else entry.facts
        if "reason" in facts:
            refused[row["image_id"]] = dict(facts)
        elif facts["instance"] is not None:
            same = tuple(facts[key] for key in ("instance", "transfer_syntax", "pixels_sha256"))
            held.append((row["uri"], row["image_id"], same))
    return refused | _duplicates(held)


def _duplicates(held: list[tuple[str, str, tuple[str, ...]]]) -> dict[str, Facts]:
    """Of several files that hold the same thing, refuse all but the first by its place in the archive.

    One with the same SOP instance in another transfer syntax, or with other pixels, is no copy: it is kept and marked.
    """
    first: dict[tuple[str, ...], str] = {}
    return {
        image: {"reason": "duplicate", "message": f"{REASONS['duplicate']}: {kept}"}
        for _, image, same in sorted(held)
        if (kept := first.setdefault(same, image)) != image
    }


def _write(folder: Path, accepted: Rows, rejected: list[Row], task: Task) -> dict[str, Any]:
    """The shards and tables of what was accepted and rejected."""
    store = store_of(task)
    manifest, annotations = Gathered("manifest"), Gathered("annotations")
    disagreements: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    pixels: dict[str, str] = {}
    instances: dict[str, str] = {}
    with ShardWriter(folder, task.params.size, len(accepted)) as writer:
        for row in accepted:
            entry = store.get(task.entry_name(row))
            assert entry is not None
            assert entry.image_SS is not None
            facts = entry.facts
            letterbox = Letterbox.of(facts["rows"], facts["columns"], facts["size"])
            try:
                own = annotation_rows(row, letterbox, mended)
            except ValueError as error:
                rejected.append(_rejected(row["image_id"], "image", "mask_misfit", str(error)))
                continue
            shard, place = writer.add(entry.image_SS)
            made, differing = _manifest_row(row, facts)
            manifest.add(
                {
                    **made,
                    "shard": shard,
                    "row": place,
                    "identical_to": _earlier(pixels, facts["pixels_sha256"], row["image_id"]),
                    "same_instance_as": _earlier(instances, facts["instance"], row["image_id"]),
                    "affine": list(letterbox.affine),
                }
            )
            for annotation in own:
                annotations.add(annotation)
            disagreements.update(differing)
    rejected.sort(key=lambda row: (row["kind"], row["id"]))
    write_table(folder / "manifest.parquet", manifest.table(), "manifest")
    write_table(folder / "annotations.parquet", annotations.table(), "annotations")
    write_table(folder / "rejected.parquet", rejected, "rejected")
    mends = {"mended": {key: mended[key] for key in MENDED}}
    return _figures(manifest.table(), annotations.table(), rejected, disagreements) | mends


def _earlier(seen: dict[str, str], what: str | None, image_id: str) -> str | None:
    """The earlier image that has the same; None for the first, which is noted."""
    first = image_id if what is None else seen.setdefault(what, image_id)
    return None if first == image_id else first


def _manifest_row(row: Row, facts: Mapping[str, Any]) -> tuple[Row, list[str]]:
    """A manifest row but for its place, and in what the header contradicts the archive's tables; the tables win."""
    tables = {"view": normal_view(row["view"]), "sex": normal_sex(row["sex"]), "age_band": age_band(row["age"])}
    merged = {key: facts[key] if value in NOTHING else value for key, value in tables.items()}
    differing = [key for key in tables if facts[key] not in (*NOTHING, merged[key])]
    kept = (
        "scanner", "source_sha256", "rows", "columns", "pixel_spacing_mm", "bits_stored", "transfer_syntax",
        "photometric_interpretation", "pixels_sha256",
    )  # fmt: skip
    names = {key: row[key] for key in ("image_id", "study_id", "patient_id", "split", "origin")}
    return {**names, **merged, **{key: facts[key] for key in kept}}, differing


def _rejected(identity: str, kind: str, reason: str, message: str | None = None) -> Row:
    return {"id": identity, "kind": kind, "reason": reason, "message": message or REASONS[reason]}


def _figures(
    manifest: pa.Table, annotations: pa.Table, rejected: list[Row], disagreements: Counter[str]
) -> dict[str, Any]:
    images = sum(row["kind"] == "image" for row in rejected)

    def counted(values: Iterable[str | None]) -> dict[str, int]:
        return dict(sorted(Counter(value or "not_told" for value in values).items()))

    labels = annotations.filter(pc.field("kind") == "label")
    columns = ("transfer_syntax", "photometric_interpretation", "view", "split", "sex", "age_band", "origin")
    return {
        "manifest": len(manifest),
        "rejected": images,
        "rejected_studies": len(rejected) - images,
        "rejected_by_reason": counted(row["reason"] for row in rejected),
        **{key: len(manifest) - manifest[key].null_count for key in ("identical_to", "same_instance_as")},
        **{key: counted(manifest[key].to_pylist()) for key in columns},
        "scanners": pc.count_distinct(manifest["scanner"]).as_py(),
        "annotations": counted(annotations["kind"].to_pylist()),
        "labels": counted(LABEL_WORDS[value] for value in labels["value"].to_pylist()),
        "header_disagreements": {key: disagreements[key] for key in ("view", "sex", "age_band")},
    }
