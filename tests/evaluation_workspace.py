"""A small workspace for evaluation: square spots on noise, whose place and class are known, and an untrained model."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
import yaml

from components.core import params as parameters
from components.core import paths
from components.core.model import Config, MedSLIP, Mends, save
from components.core.records.labels import StudyLabels
from components.core.records.letterbox import Letterbox, map_box
from components.core.records.shards import ShardWriter
from components.core.records.tables import write_table
from components.core.records.whole import write_json
from components.core.vocabulary import ANATOMIES, PATHOLOGIES, PATHOLOGY_INDEX

SIZE, ROWS, COLUMNS = 48, 96, 72
FINDINGS = {"consolidation": (8, 60), "nodule": (44, 20)}  # left and upper edge of the spot in source pixels
SPOT = 20
GRADES = (("mild", 0.3), ("moderate", 0.6), ("severe", 0.9))


def sizes() -> Config:
    """A model small enough for tests."""
    trunk = parameters.Trunk(depths=(1, 1, 1), hidden_sizes=(16, 16, 16), embedding_size=8, layer_type="basic")
    model = parameters.Model(trunk=trunk, width=16, decoder_layers=1, heads=2, dropout=0.0)
    return Config(image_size=SIZE, text_width=8, model=model, mends=Mends())


def untrained(seed: int = 0) -> MedSLIP:
    torch.manual_seed(seed)
    return MedSLIP(sizes(), torch.randn(len(PATHOLOGIES), 8), torch.randn(len(ANATOMIES), 8)).eval()


def write_model(root: Path) -> None:
    """An untrained model in the place of the pretrained one; two pathologies count as trained."""
    folder = root / paths.PRETRAINED
    folder.mkdir(parents=True)
    save(untrained(), folder)
    terms = {
        name: {"present": int(name in FINDINGS), "absent": int(name in FINDINGS), "anatomies": []}
        for name in PATHOLOGIES
    }
    write_json(folder / "metrics.json", {"terms": terms})


def write_params(root: Path, repository: Path, changes: dict) -> parameters.Params:
    content = parameters.overlay(parameters.read_yaml(repository / "params.yaml"), changes)
    (root / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return parameters.validate(content)


def _rows(dataset: str, count: int, generator: np.random.Generator) -> tuple[list[dict], list[dict], list[np.ndarray]]:
    letterbox = Letterbox.of(ROWS, COLUMNS, SIZE)
    manifest, drawn, images = [], [], []
    for number in range(count):
        patient = number // 2  # two images a patient
        split = ("train", "train", "validate", "test", "test")[patient % 5]
        source = generator.normal(100, 12, (ROWS, COLUMNS)).astype(np.float32)
        digest = hashlib.sha256(f"{dataset} {number}".encode()).hexdigest()
        for name, (x, y) in FINDINGS.items():
            if generator.random() < 0.4:
                grade, severity = GRADES[int(generator.integers(3))]
                source[y : y + SPOT, x : x + SPOT] += 110 * severity
                mask = np.zeros((ROWS, COLUMNS), np.uint8)
                mask[y : y + SPOT, x : x + SPOT] = 255
                drawn.append({
                    "source_sha256": digest, "image": f"i{number}", "study": f"s{number}", "patient": f"p{patient}",
                    "pathology": name, "anatomy": "unspecified", "severity": severity, "grade": grade,
                    "x": float(x), "y": float(y), "width": float(SPOT), "height": float(SPOT),
                    "mask_png": cv2.imencode(".png", mask)[1].tobytes(),
                })  # fmt: skip
        images.append(letterbox.apply(np.clip(source, 0, 255)))
        manifest.append({
            "image_id": f"image{number:05d}", "study_id": f"study{number:05d}", "patient_id": f"{patient * 7919:024x}",
            "split": split, "view": "LATERAL" if number % 17 == 16 else "PA", "sex": "F", "age_band": "40-59",
            "scanner": "A", "shard": 0, "row": number, "source_sha256": digest, "rows": ROWS, "columns": COLUMNS,
            "pixel_spacing_mm": None, "transfer_syntax": "1.2.840.10008.1.2.1",
            "photometric_interpretation": "MONOCHROME2", "bits_stored": 12, "origin": None,
            "pixels_sha256": digest, "identical_to": None, "same_instance_as": None, "affine": list(letterbox.affine),
        })  # fmt: skip
    return manifest, drawn, images


def _annotations(manifest: list[dict], drawn: list[dict]) -> list[dict]:
    """Labels and boxes of the class pneumonia: the first finding, at any severity."""
    name = next(iter(FINDINGS))
    shown = {row["source_sha256"]: row for row in drawn if row["pathology"] == name}
    nothing = dict.fromkeys(("x", "y", "width", "height", "mask_png"))
    rows = []
    for row in manifest:
        found = shown.get(row["source_sha256"])
        shared = {"image_id": row["image_id"], "name": "pneumonia"}
        rows.append({**shared, "kind": "label", "value": int(found is not None), **nothing})
        if found is not None:
            x, y, width, height = map_box(row["affine"], found["x"], found["y"], found["width"], found["height"])
            place = {"x": x, "y": y, "width": width, "height": height, "mask_png": None}
            rows.append({**shared, "kind": "box", "value": 1, **place})
    return rows


def write_dataset(root: Path, name: str, count: int, own_labels: bool = False, drawn_truth: bool = True) -> None:
    """Images, manifest and annotations of a dataset; the drawn truth lies below another name."""
    manifest, drawn, images = _rows(name, count, np.random.default_rng(3))
    folder = root / paths.IMAGES / name
    folder.mkdir(parents=True)
    with ShardWriter(folder, SIZE, count) as writer:
        for image in images:
            writer.add(image)
    write_table(folder / "manifest.parquet", pd.DataFrame(manifest), "manifest")
    write_table(folder / "annotations.parquet", _annotations(manifest, drawn) if own_labels else [], "annotations")
    if drawn_truth:
        truth = root / paths.PHANTOM_TRUTH / "archive_of_that_name"
        keys = ("source_sha256", "view", "rows", "columns")
        names = [{"image": f"i{n}", "study": f"s{n}", "patient": f"p{n // 2}"} for n in range(count)]
        write_table(
            truth / "images.parquet",
            [{**{key: row[key] for key in keys}, **own} for row, own in zip(manifest, names, strict=True)],
            "drawn_images",
        )
        write_table(truth / "drawn.parquet", drawn, "drawn")


def write_labels(root: Path, count: int) -> None:
    """Reports that tell what was drawn of consolidation in every other study, and nothing else."""
    _, drawn, _ = _rows("", count, np.random.default_rng(3))
    shown = {row["study"] for row in drawn if row["pathology"] == "consolidation"}
    studies = [f"study{number:05d}" for number in range(count)]
    cells = np.array([[n, 0, PATHOLOGY_INDEX["consolidation"]] for n in range(0, count, 2)], np.int32)
    values = np.array([int(f"s{n}" in shown) for n in range(0, count, 2)], np.int8)
    StudyLabels(tuple(studies), cells, values).write(root / paths.FINDINGS / "labels.npz")
