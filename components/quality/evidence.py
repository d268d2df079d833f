"""From the tables of a dataset to the frames that expectations look at: one row a thing, its faults as columns.

Row ids are pseudonyms, and a cell that identifies someone is masked: what a frame holds may be shown.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from components.core import paths
from components.core.records.labels import StudyLabels
from components.core.records.shards import ImageShards
from components.core.records.tables import read_table
from components.quality.identifiers import MASK, PSEUDONYM, archive_names, identifying_cells

EARLIER = ("identical_to", "same_instance_as")  # columns of the manifest that name an earlier image
MOST_STRETCH = 0.02  # the two axes of a letterboxed image are scaled alike, but for rounding
BORDER_PIXELS = 1.0


@dataclass(frozen=True)
class Tables:
    """What inventory, ingest and reports wrote of a dataset; the last three only where it has reports."""

    inventory: pd.DataFrame
    manifest: pd.DataFrame
    annotations: pd.DataFrame
    rejected: pd.DataFrame
    images: Path
    findings: pd.DataFrame | None = None
    labels: StudyLabels | None = None
    unmatched: pd.DataFrame | None = None


def read_tables(dataset: str, with_reports: bool) -> Tables:
    """Read the tables of a dataset.

    Raises:
        ValueError: a table is missing or has another schema.
    """
    folder = paths.IMAGES / dataset
    tables = Tables(
        inventory=read_table(paths.inventory_table(dataset), "inventory"),
        manifest=read_table(folder / "manifest.parquet", "manifest"),
        annotations=read_table(folder / "annotations.parquet", "annotations"),
        rejected=read_table(folder / "rejected.parquet", "rejected"),
        images=folder,
    )
    if not with_reports:
        return tables
    refused = read_table(paths.FINDINGS / "rejected.parquet", "rejected")
    return replace(
        tables,
        rejected=pd.concat([tables.rejected, refused], ignore_index=True),
        findings=read_table(paths.FINDINGS / "findings.parquet", "findings"),
        labels=StudyLabels.read(paths.FINDINGS / "labels.npz"),
        unmatched=read_table(paths.FINDINGS / "unmatched.parquet", "unmatched"),
    )


def shown(table: pd.DataFrame, key: str, names: frozenset[str]) -> pd.DataFrame:
    """A table made fit to show: row ids in `id`, what identifies someone told in `identifying` and masked."""
    cells = identifying_cells(table, names)
    frame = table.copy()
    for column in cells:
        frame[column] = frame[column].where(cells[column].isna(), MASK)
    told = [
        "; ".join(f"{column} holds {what}" for column, what in row.items() if what is not None)
        for row in cells.to_dict("records")
    ]
    frame["identifying"] = told or pd.Series(dtype=object)
    # Ids that are no pseudonyms might be names: such a row goes by its number.
    frame["id"] = [
        value if isinstance(value, str) and PSEUDONYM.fullmatch(value) else f"row {number}"
        for number, value in enumerate(table[key])
    ]
    return frame


def fates(tables: Tables) -> pd.DataFrame:
    """One row an image of the inventory, manifest or rejected: where it ended."""
    listed = set(tables.inventory.loc[tables.inventory["uri"] != "", "image_id"])
    accepted = set(tables.manifest["image_id"])
    refused = set(tables.rejected.loc[tables.rejected["kind"] == "image", "id"])
    rows = []
    for image in sorted(listed | accepted | refused):
        ends = [name for name, ids in (("accepted", accepted), ("rejected", refused)) if image in ids]
        rows.append((image, " and ".join(ends) or "lost", "yes" if image in listed else "no"))
    return pd.DataFrame(rows, columns=["id", "fate", "listed"])


def patients(tables: Tables) -> pd.DataFrame:
    """One row a patient: in how many splits inventory and manifest have it."""
    both = pd.concat([tables.inventory[["patient_id", "split"]], tables.manifest[["patient_id", "split"]]])
    splits = both.groupby("patient_id")["split"].nunique()
    return pd.DataFrame({"id": splits.index, "splits": splits.to_numpy(np.int64)})


def affine_fault(affine: np.ndarray, rows: int, columns: int, size: int) -> str:
    """What is wrong with the map from source to shard pixels [x, y, 1] → [x, y], or an empty string."""
    matrix = np.asarray(affine, float).reshape(2, 3)
    if not np.isfinite(matrix).all():
        return "not finite"
    (across, shear, _), (other_shear, down, _) = matrix
    if across <= 0 or down <= 0 or shear or other_shear:
        return "turned, mirrored or sheared"
    if abs(across - down) > MOST_STRETCH * max(across, down):
        return "stretched"
    corners = matrix @ np.array([[0, columns], [0, rows], [1, 1]], float)
    inside = (corners >= -BORDER_PIXELS).all() and (corners <= size + BORDER_PIXELS).all()
    fills = abs((corners[:, 1] - corners[:, 0]).max() - size) <= 2 * BORDER_PIXELS
    return "" if inside and fills else "off the image"


def _pixels(tables: Tables) -> pd.DataFrame:
    """For each row of the manifest the range of its grey levels, and faults of its place and its affine."""
    shards, seen = ImageShards(tables.images), set()
    rows: list[tuple[int | None, str, str]] = []
    columns = ("shard", "row", "affine", "rows", "columns")
    for shard, row, affine, height, width in zip(*(tables.manifest[name] for name in columns), strict=True):
        if (shard, row) not in shards:
            rows.append((None, "outside its shard", ""))
            continue
        image_SS = shards[shard, row]
        fault = "shared with another image" if (shard, row) in seen else ""
        seen.add((shard, row))
        spread = int(image_SS.max()) - int(image_SS.min())
        rows.append((spread, fault, affine_fault(affine, height, width, image_SS.shape[-1])))
    return pd.DataFrame(rows, columns=["grey_range", "place_fault", "affine_fault"], index=tables.manifest.index)


def _told_apart(manifest: pd.DataFrame) -> pd.DataFrame:
    """For each row of the manifest its shorter side, the image with its pixels, and the other splits of these."""
    splits = manifest.groupby("pixels_sha256")["split"].unique().map(lambda names: ", ".join(sorted(names)))
    across = manifest["pixels_sha256"].map(splits)
    return pd.DataFrame(
        {
            "side": manifest[["rows", "columns"]].min(axis=1),
            **{key: manifest[key].astype(object).fillna("") for key in EARLIER},
            "identical_across": across.where(across.map(lambda names: "," in str(names)), ""),
        }
    )


def reports(findings: pd.DataFrame, labels: StudyLabels) -> pd.DataFrame:
    """One row a study with a report: how many findings its report mentions."""
    counts = findings["study_id"].value_counts()
    return pd.DataFrame({"id": labels.study_ids, "findings": [int(counts.get(study, 0)) for study in labels.study_ids]})


def frames(tables: Tables) -> dict[str, pd.DataFrame]:
    """The frames by name, each with a column `id` that names its rows."""
    names = archive_names(tables.inventory)
    images = tables.inventory[tables.inventory["uri"] != ""]
    made = {
        "inventory": shown(images[["image_id", "study_id", "patient_id", "split"]], "image_id", names),
        "patients": patients(tables),
        "images": fates(tables),
        "manifest": shown(tables.manifest.drop(columns=["affine", *EARLIER]), "image_id", names)
        .join(_pixels(tables))
        .join(_told_apart(tables.manifest)),
        "annotations": shown(tables.annotations.drop(columns="mask_png"), "image_id", names),
        "rejected": shown(tables.rejected, "id", names),
    }
    made["annotations"]["known"] = made["annotations"]["image_id"].isin(made["manifest"]["image_id"]).map(str)
    if tables.findings is not None and tables.labels is not None and tables.unmatched is not None:
        made["findings"] = shown(tables.findings, "study_id", names)
        made["unmatched"] = shown(tables.unmatched, "word", names)
        made["reports"] = reports(tables.findings, tables.labels)
    return made
