"""Removes a patient from every table and shard of this workspace and of `ingest folder`, and says which runs and models
saw the patient.

The patient's pseudonym is noted beside the key: no later listing has the patient, though the archive may.
"""

import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core import paths, tracking
from components.core.params import Dataset
from components.core.pseudonyms import Pseudonyms, forgotten_file, forgotten_patients
from components.core.records.image_store import drop_everywhere, entry_name
from components.core.records.labels import StudyLabels
from components.core.records.shards import ImageShards, ShardWriter
from components.core.records.tables import read_arrow, read_metadata, read_table, write_table
from components.core.records.whole import whole_file, whole_folder, write_json
from components.core.state import folder_inventory, folder_outputs, images_state
from components.inventory.members import had_member, strike

FOLDER = "folder"  # what pseudonyms call the dataset of `ingest folder`
IDS = ("patient_id", "study_id", "image_id", "id")
LATER = """Not touched, since they are not this workspace's own:
  the archive itself;
  DVC's cache, which holds the outputs of earlier runs: after the next run, `dvc gc --workspace` drops them;
  workspaces, remotes and model registries elsewhere. The next run makes models and pages anew without the patient."""


@dataclass(frozen=True)
class Traces:
    """What a dataset knows of a patient.

    Attributes:
        dataset: its name.
        out: where `ingest folder` put its shards, None for a dataset of the workspace.
        patient_id: the pseudonym.
        ids: the pseudonyms of the patient, the studies and the images.
        entries: the names of the images in the store.
    """

    dataset: str
    out: Path | None
    patient_id: str
    ids: frozenset[str]
    entries: tuple[str, ...]


def forget(datasets: Mapping[str, Dataset], patient: str) -> None:
    """Forget a patient in every dataset and folder that has one of this name; prints what was done.

    Args:
        datasets: of this workspace, by their names.
        patient: as the archive calls them.

    Raises:
        ValueError: no inventory of this workspace or of `ingest folder` has the patient, and none was told to forget
            the patient.
    """
    found = [_traces(paths.inventory_table(name), name, None, own.root, patient) for name, own in datasets.items()]
    found += [_traces(folder_inventory(out), FOLDER, out, root, patient) for out, root in folder_outputs()]
    known = [traces for traces in found if traces is not None]
    if not known:
        raise ValueError(
            f"no table in {paths.INVENTORY} or beside an output of `ingest folder` has that patient: nothing changed"
        )
    _note({traces.patient_id for traces in known})
    for traces in known:
        entries = drop_everywhere(images_state(), traces.entries)
        print(f"{traces.out or traces.dataset}: forgot {len(traces.ids)} ids, {entries} images in the store")
        for path in _rewrite(traces) if traces.out is None else _rewrite_folder(traces.out, traces.ids):
            print(f"  {path}")
        if traces.out is not None:
            continue  # no run of the pipeline reads it
        for line in _runs(traces):
            print(f"  {line}")
        strike(traces.dataset, traces.patient_id)
    print(LATER)


def _traces(table: Path, dataset: str, out: Path | None, root: str, patient: str) -> Traces | None:
    if not table.exists():
        return None
    patient_id = Pseudonyms.from_key_file().name("patient", dataset, patient)
    rows = read_arrow(table, "inventory")
    rows = rows.filter(pc.equal(rows["patient_id"], patient_id)).to_pylist()
    if not rows and patient_id not in forgotten_patients():
        return None
    ids = {patient_id} | {row[key] for row in rows for key in IDS[:3] if row[key] is not None}
    entries = [entry_name(root, row["uri"], row["version"]) for row in rows if row["version"] is not None]
    return Traces(dataset, out, patient_id, frozenset(ids), tuple(entries))


def _note(patient_ids: set[str]) -> None:
    """Note pseudonyms for all later listings."""
    path = forgotten_file()
    with whole_file(path) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in sorted(forgotten_patients() | patient_ids)), "ascii")
        os.chmod(temporary, 0o600)


def _rewrite(traces: Traces) -> list[Path]:
    """Take the patient out of every file that has one of the ids; returns the files that changed or went."""
    changed = []
    images = paths.IMAGES / traces.dataset
    if (images / "manifest.parquet").exists() and _has(images, traces.ids):
        _rewrite_images(images, traces.ids)
        changed.append(images)
    for path in sorted(path for top in ("data", "predictions") for path in Path(top).rglob("*.parquet")):
        if images not in path.parents and paths.PHANTOM not in path.parents and _rewrite_table(path, traces.ids):
            changed.append(path)
    labels = paths.FINDINGS / "labels.npz"
    if labels.exists() and _rewrite_labels(labels, traces.ids):
        changed.append(labels)
    for path in sorted(path for top in ("metrics", "models") for path in Path(top).rglob("*.json")):
        if any(name in path.read_text("utf-8") for name in traces.ids):
            write_json(path, _without(json.loads(path.read_text("utf-8")), traces.ids))
            changed.append(path)
    if changed:  # pages and pictures may show the patient: they go whole, and the next run makes them anew
        tasks = sorted((paths.PLOTS / "finetune").glob("*"))
        for path in (
            paths.QUALITY / traces.dataset,
            paths.PLOTS / "zero_shot" / traces.dataset,
            *tasks,
            paths.MODEL_CARD,
        ):
            if path.is_dir():
                shutil.rmtree(path)
                changed.append(path)
    return changed


def _rewrite_folder(out: Path, ids: Collection[str]) -> list[Path]:
    """Take the patient out of an output of `ingest folder` and, when that is done, out of the table beside it."""
    changed = []
    if (out / "manifest.parquet").exists() and _has(out, ids):
        _rewrite_images(out, ids)
        changed.append(out)
    table = folder_inventory(out)
    return [*changed, table] if _rewrite_table(table, ids) else changed


def _has(folder: Path, ids: Iterable[str]) -> bool:
    return any(_kept(pq.read_table(path), ids) is not None for path in folder.glob("*.parquet"))


def _kept(table: pa.Table, ids: Iterable[str]) -> pa.Table | None:
    """The rows without any of the ids, None where that is all of them."""
    gone = pa.array([False] * len(table), pa.bool_())
    names = pa.array(sorted(ids), pa.string())
    for column in IDS:
        if column in table.column_names and pa.types.is_string(table.schema.field(column).type):
            gone = pc.or_(gone, pc.is_in(table[column], names))
    return table.filter(pc.invert(gone)) if pc.any(gone).as_py() else None


def _rewrite_table(path: Path, ids: Iterable[str]) -> bool:
    kept = _kept(pq.read_table(path), ids)
    if kept is None:
        return False
    with whole_file(path) as temporary:  # a new file: the old one may be a link into DVC's cache
        pq.write_table(kept, temporary, compression="zstd")
    return True


def _rewrite_images(folder: Path, ids: Iterable[str]) -> None:
    """Shards without the images, and the tables to them, as ingest would make them."""
    names = set(ids)
    shards = ImageShards(folder)
    tables = {name: read_table(folder / f"{name}.parquet", name) for name in ("manifest", "annotations", "rejected")}
    extra = {name: read_metadata(folder / f"{name}.parquet", name) for name in tables}
    manifest = tables["manifest"][~tables["manifest"]["image_id"].isin(names)].reset_index(drop=True)
    with whole_folder(folder) as new:
        if len(manifest):
            size = shards.open(0).shape[-1]
            with ShardWriter(new, size, len(manifest)) as writer:
                places = [writer.add(shards[shard, row]) for shard, row in manifest[["shard", "row"]].to_numpy()]
            manifest[["shard", "row"]] = np.array(places, np.int32)
            first = manifest.groupby("pixels_sha256")["image_id"].transform("first")
            manifest["identical_to"] = first.where(first != manifest["image_id"], None)
            manifest["same_instance_as"] = _without_first(manifest["same_instance_as"], manifest["image_id"], names)
        annotations = tables["annotations"]
        rejected = tables["rejected"]
        for name, frame in (
            ("manifest", manifest),
            ("annotations", annotations[~annotations["image_id"].isin(names)]),
            ("rejected", rejected[~rejected["id"].isin(names)]),
        ):
            more = {key: value for key, value in extra[name].items() if not key.startswith(("schema", "pandas"))}
            write_table(new / f"{name}.parquet", _rows(frame), name, more)


def _without_first(earlier: pd.Series, images: pd.Series, gone: Iterable[str]) -> pd.Series:
    """References to an earlier image, where some of those are gone: the next one takes its place."""
    heirs = {name: images[earlier == name].iloc[0] for name in earlier[earlier.isin(list(gone))].unique()}
    moved = earlier.map(lambda name: heirs.get(name, name))
    return moved.where(moved != images, None)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as rows, where nothing is None."""
    rows: list[dict[str, Any]] = [
        {str(key): None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]
    return rows


def _rewrite_labels(path: Path, ids: Iterable[str]) -> bool:
    labels = StudyLabels.read(path)
    kept = [place for place, name in enumerate(labels.study_ids) if name not in set(ids)]
    if len(kept) == len(labels.study_ids):
        return False
    place_of = np.full(len(labels.study_ids), -1, np.int32)
    place_of[kept] = np.arange(len(kept), dtype=np.int32)
    cells = labels.cells.copy()
    cells[:, 0] = place_of[cells[:, 0]]
    stay = cells[:, 0] >= 0
    StudyLabels(tuple(labels.study_ids[place] for place in kept), cells[stay], labels.values[stay]).write(path)
    return True


def _without(content: Any, ids: Iterable[str]) -> Any:
    """JSON without the ids, as keys or in lists."""
    if isinstance(content, dict):
        return {key: _without(value, ids) for key, value in content.items() if key not in ids}
    if isinstance(content, list):
        return [_without(value, ids) for value in content if not (isinstance(value, str) and value in ids)]
    return content


def _runs(traces: Traces) -> list[str]:
    """A line for every run of the pipeline that saw the patient, or may have, with the models it registered."""
    from mlflow.exceptions import MlflowException

    try:
        runs = tracking.traces_of(traces.dataset)
    except (MlflowException, OSError) as error:
        sentence = " ".join(str(error).split())[:300]
        print(f"warning: MLflow at {tracking.address()} was not asked for runs: {sentence}", file=sys.stderr)
        return []
    lines = []
    for run in runs:
        saw = had_member(traces.dataset, run.inventory, traces.patient_id)
        if saw is not False:
            models = f", models {', '.join(run.versions)}" if run.versions else ""
            lines.append(f"{'seen by' if saw else 'may have been seen by'} run {run.name} ({run.run_id}){models}")
    return lines
