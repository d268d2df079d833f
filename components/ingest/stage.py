"""Decode the objects of an inventory into de-identified 8-bit shards, a manifest, annotations, and what was refused.

A pure function of the inventory and the parameters: the same whatever the number of processes (MEDSLIP_WORKERS). Every
row of the inventory ends in the manifest or among the rejected.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from components.core import paths
from components.core.params import Params
from components.core.records.letterbox import map_box
from components.core.records.shards import ShardWriter
from components.core.records.tables import REASONS, read_arrow, write_table
from components.core.records.whole import whole_folder
from components.core.workers import worker_count
from components.ingest.images import Accepted, Row
from components.ingest.parallel import render_rows


def run(params: Params, dataset: str) -> dict[str, Any]:
    """Fill `data/images/<dataset>` from the inventory; returns the stage's figures.

    Raises:
        ValueError: the dataset is not in params.yaml, its inventory is missing, or its root is not a folder.
    """
    if dataset not in params.datasets:
        raise ValueError(f"{dataset!r} is not one of the datasets in params.yaml ({', '.join(params.datasets)})")
    inventory = read_arrow(paths.inventory_table(dataset), "inventory").to_pylist()
    # In the order of pseudonyms: the archive's own order would tell who follows whom.
    images = sorted((row for row in inventory if row["uri"]), key=lambda row: row["image_id"])
    rejected = [_rejected(row["study_id"], "study", row["problem"]) for row in inventory if not row["uri"]]
    manifest: list[Row] = []
    annotations: list[Row] = []
    disagreements: Counter[str] = Counter()
    with whole_folder(paths.IMAGES / dataset) as folder:
        results = render_rows(images, params.datasets[dataset], params.ingest, worker_count())
        with ShardWriter(folder, params.ingest.size, len(images)) as writer:
            for row, result in zip(images, results, strict=True):
                if isinstance(result, Accepted):
                    shard, place = writer.add(result.image_SS)
                    manifest.append({**result.manifest, "shard": shard, "row": place})
                    annotations.extend(_annotations(row, result.manifest["affine"]))
                    disagreements.update(result.disagreements)
                else:
                    rejected.append(_rejected(row["image_id"], "image", result.reason, result.message))
        _write_tables(folder, manifest, annotations, rejected)
    return {
        **_figures(manifest, rejected),
        "annotations": dict(sorted(Counter(row["kind"] for row in annotations).items())),
        "header_disagreements": {key: disagreements[key] for key in ("view", "sex", "age")},
        "bytes_read": sum(row["bytes"] for row in images if row["bytes"] > 0),
    }


def _write_tables(folder: Path, manifest: list[Row], annotations: list[Row], rejected: list[Row]) -> None:
    rejected.sort(key=lambda row: (row["kind"], row["id"]))
    write_table(folder / "manifest.parquet", manifest, "manifest")
    write_table(folder / "annotations.parquet", annotations, "annotations")
    write_table(folder / "rejected.parquet", rejected, "rejected")


def _rejected(identity: str, kind: str, reason: str, message: str | None = None) -> Row:
    return {"id": identity, "kind": kind, "reason": reason, "message": message or REASONS[reason]}


def _annotations(row: Row, affine: list[float]) -> list[Row]:
    """An image's own labels, and its boxes in shard pixels."""
    nothing = dict.fromkeys(("x", "y", "width", "height", "mask_png"))
    labels = [
        {"image_id": row["image_id"], "kind": "label", "name": label["name"], "value": label["value"], **nothing}
        for label in row["labels"]
    ]
    boxes = []
    for box in row["boxes"]:
        x, y, width, height = map_box(affine, box["x"], box["y"], box["width"], box["height"])
        place = {"x": x, "y": y, "width": width, "height": height, "mask_png": None}
        boxes.append({"image_id": row["image_id"], "kind": "box", "name": box["name"], "value": 1, **place})
    return labels + boxes


def _figures(manifest: list[Row], rejected: list[Row]) -> dict[str, Any]:
    images = [row for row in rejected if row["kind"] == "image"]
    counted = ("transfer_syntax", "photometric_interpretation", "view", "split")
    return {
        "images": len(manifest) + len(images),
        "manifest": len(manifest),
        "rejected": len(images),
        "rejected_studies": len(rejected) - len(images),
        "rejected_by_reason": dict(sorted(Counter(row["reason"] for row in rejected).items())),
        **{key: dict(sorted(Counter(row[key] for row in manifest).items())) for key in counted},
    }
