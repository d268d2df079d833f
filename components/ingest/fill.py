"""From an inventory to a folder of shards, manifest, annotations and rejected: the same bytes however it was worked."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.core.dicom.header import age_band, normal_sex, normal_view
from components.core.records.image_store import ImageStore
from components.core.records.letterbox import Letterbox
from components.core.records.shards import ShardWriter
from components.core.records.tables import REASONS, write_table
from components.core.records.whole import whole_folder
from components.ingest.annotations import MENDED, annotation_rows
from components.ingest.decode import decode
from components.ingest.images import Row, Task, store_of
from components.ingest.parallel import Facts

NOTHING = (None, "UNKNOWN")


def fill(out: Path, inventory: Sequence[Row], task: Task, workers: int) -> dict[str, Any]:
    """Fill a folder from the rows of an inventory; returns figures.

    Every row with a file ends in the manifest or among the rejected, and so does every study without one.
    """
    # In the order of pseudonyms: the archive's own order would tell who follows whom.
    images = sorted((row for row in inventory if row["uri"]), key=lambda row: row["image_id"])
    listed = [row for row in images if row["problem"] is None]
    lost = _facts(listed, task, store_of(task), out, workers)
    facts = dict(zip((row["image_id"] for row in listed), lost, strict=True))
    for row in images:
        if row["problem"] is not None:
            facts[row["image_id"]] = {"reason": row["problem"], "message": REASONS[row["problem"]]}
    _refuse_duplicates(images, facts)
    rejected = [_rejected(row["study_id"], "study", row["problem"]) for row in inventory if not row["uri"]]
    rejected += [
        _rejected(row["image_id"], "image", told["reason"], told["message"])
        for row in images
        if "reason" in (told := facts[row["image_id"]])
    ]
    accepted = [(row, facts[row["image_id"]]) for row in images if "reason" not in facts[row["image_id"]]]
    with whole_folder(out) as folder:
        return _write(folder, accepted, rejected, task) | {
            "images": len(images),
            "bytes_read": sum(row["bytes"] for row in images if row["bytes"] > 0),
        }


def _facts(rows: Sequence[Row], task: Task, store: ImageStore, out: Path, workers: int) -> list[dict[str, Any]]:
    """The facts of every row, or why it is refused."""
    lost: dict[int, Facts] = decode(rows, task, store, out, workers)
    facts: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        if index in lost:
            facts.append(dict(lost[index]))
            continue
        entry = store.get(task.entry_name(row))
        if entry is None:  # damaged, as a machine that lost its power leaves it
            store.drop(task.entry_name(row))
            again = decode([row], task, store, out, 1)
            entry = store.get(task.entry_name(row))
            facts.append(dict(again[0]) if entry is None else dict(entry.facts))
        else:
            facts.append(dict(entry.facts))
    return facts


def _refuse_duplicates(images: Sequence[Row], facts: dict[str, dict[str, Any]]) -> None:
    """Of several files that hold the same thing, refuse all but the first by its place in the archive.

    One with the same SOP instance in another transfer syntax, or with other pixels, is no copy: it is kept and marked.
    """
    first: dict[tuple[str, ...], str] = {}
    for row in sorted(images, key=lambda row: str(row["uri"])):
        told = facts[row["image_id"]]
        if told.get("instance") is None:
            continue
        same = tuple(told[key] for key in ("instance", "transfer_syntax", "pixels_sha256"))
        kept = first.setdefault(same, row["image_id"])
        if kept != row["image_id"]:
            facts[row["image_id"]] = {"reason": "duplicate", "message": f"{REASONS['duplicate']}: {kept}"}


def _write(
    folder: Path, accepted: Sequence[tuple[Row, dict[str, Any]]], rejected: list[Row], task: Task
) -> dict[str, Any]:
    """The shards and tables of what was accepted and rejected."""
    store = store_of(task)
    manifest: list[Row] = []
    annotations: list[Row] = []
    disagreements: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    pixels: dict[str, str] = {}
    instances: dict[str, str] = {}
    with ShardWriter(folder, task.params.size, len(accepted)) as writer:
        for row, facts in accepted:
            letterbox = Letterbox.of(facts["rows"], facts["columns"], facts["size"])
            try:
                own = annotation_rows(row, letterbox, mended)
            except ValueError as error:
                rejected.append(_rejected(row["image_id"], "image", "mask_misfit", str(error)))
                continue
            entry = store.get(task.entry_name(row))
            assert entry is not None
            assert entry.image_SS is not None
            shard, place = writer.add(entry.image_SS)
            made, differing = _manifest_row(row, facts)
            manifest.append(
                {
                    **made,
                    "shard": shard,
                    "row": place,
                    "identical_to": _earlier(pixels, facts["pixels_sha256"], row["image_id"]),
                    "same_instance_as": _earlier(instances, facts["instance"], row["image_id"]),
                    "affine": list(letterbox.affine),
                }
            )
            annotations += own
            disagreements.update(differing)
    rejected.sort(key=lambda row: (row["kind"], row["id"]))
    write_table(folder / "manifest.parquet", manifest, "manifest")
    write_table(folder / "annotations.parquet", annotations, "annotations")
    write_table(folder / "rejected.parquet", rejected, "rejected")
    return _figures(manifest, annotations, rejected, disagreements) | {"mended": {key: mended[key] for key in MENDED}}


def _earlier(seen: dict[str, str], what: str | None, image_id: str) -> str | None:
    """The earlier image that has the same; None for the first, which is noted."""
    first = image_id if what is None else seen.setdefault(what, image_id)
    return None if first == image_id else first


def _manifest_row(row: Row, facts: dict[str, Any]) -> tuple[Row, list[str]]:
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
    manifest: Sequence[Row], annotations: Sequence[Row], rejected: Sequence[Row], disagreements: Counter[str]
) -> dict[str, Any]:
    images = sum(row["kind"] == "image" for row in rejected)
    counted = ("transfer_syntax", "photometric_interpretation", "view", "split", "sex", "age_band", "origin")
    return {
        "manifest": len(manifest),
        "rejected": images,
        "rejected_studies": len(rejected) - images,
        "rejected_by_reason": dict(sorted(Counter(row["reason"] for row in rejected).items())),
        **{key: sum(row[key] is not None for row in manifest) for key in ("identical_to", "same_instance_as")},
        **{key: dict(sorted(Counter(row[key] or "not_told" for row in manifest).items())) for key in counted},
        "scanners": len({row["scanner"] for row in manifest} - {None}),
        "annotations": dict(sorted(Counter(row["kind"] for row in annotations).items())),
        "header_disagreements": {key: disagreements[key] for key in ("view", "sex", "age_band")},
    }
