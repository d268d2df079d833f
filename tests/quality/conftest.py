"""The tables of a small good archive, written as the stages write them, so that a test can plant one fault."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core import params as parameters
from components.core import paths
from components.core.records.labels import PRESENT, StudyLabels
from components.core.records.shards import ShardWriter
from components.core.records.tables import ANNOTATIONS, FINDINGS, INVENTORY, MANIFEST, write_table
from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX
from components.quality.stage import run

SIZE = 32
Row = dict[str, Any]


def pseudonym(kind: str, number: int) -> str:
    return f"{'abc'[['image', 'study', 'patient'].index(kind)]}{number:023x}"


def ids(number: int) -> Row:
    return {f"{kind}_id": pseudonym(kind, number) for kind in ("image", "study", "patient")}


def split_of(number: int) -> str:
    return ("train", "train", "validate", "test")[number % 4]


@dataclass
class Written:
    """Tables as rows; a test changes them and then writes."""

    inventory: list[Row] = field(default_factory=list)
    manifest: list[Row] = field(default_factory=list)
    annotations: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    findings: list[Row] = field(default_factory=list)
    unmatched: list[Row] = field(default_factory=list)
    images: list[np.ndarray] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        images = folder / paths.IMAGES / "mimic_cxr"
        images.mkdir(parents=True, exist_ok=True)
        write_table(folder / paths.inventory_table("mimic_cxr"), self.inventory, "inventory")
        for name in ("manifest", "annotations", "rejected"):
            write_table(images / f"{name}.parquet", getattr(self, name), name)
        with ShardWriter(images, SIZE, len(self.images)) as writer:
            for image_SS in self.images:
                writer.add(image_SS)
        findings = folder / paths.FINDINGS
        write_table(findings / "findings.parquet", self.findings, "findings")
        write_table(findings / "rejected.parquet", [], "rejected")
        write_table(findings / "unmatched.parquet", self.unmatched, "unmatched")
        studies = tuple(row["study_id"] for row in self.inventory)
        cells = [
            (studies.index(row["study_id"]), ANATOMY_INDEX["left_pleural"], PATHOLOGY_INDEX["effusion"])
            for row in self.findings
        ]
        values = np.full(len(cells), PRESENT, np.int8)
        StudyLabels(studies, np.array(cells, np.int32).reshape(-1, 3), values).write(findings / "labels.npz")

    def accept(self, number: int) -> None:
        """An image that is listed, accepted and reported."""
        self._list(number)
        row = {"split": split_of(number), "view": "PA", "sex": "F", "age_band": "40-59", "scanner": "Acme Ray 2"}
        place = {"shard": 0, "row": len(self.images), "rows": 64, "columns": 64, "source_sha256": f"{number:064x}"}
        image = {
            "bits_stored": 12,
            "pixel_spacing_mm": 0.15,
            "transfer_syntax": "RLELossless",
            "pixels_sha256": f"{number}",
        }
        scaled = [0.5, 0.0, 0.0, 0.0, 0.5, 0.0]
        self.manifest.append(dict.fromkeys(MANIFEST.names) | ids(number) | row | place | image | {"affine": scaled})
        self.images.append(np.full((SIZE, SIZE), 40, np.uint8) + np.arange(SIZE, dtype=np.uint8))
        label = {"image_id": pseudonym("image", number), "kind": "label", "name": "pneumonia", "value": 1}
        self.annotations.append(dict.fromkeys(ANNOTATIONS.names) | label)
        self.mention(number)

    def mention(self, number: int) -> None:
        row = {"section": "findings", "sentence": 0, "start": 0, "end": 8, "presence": "present", "cue": ""}
        what = {"pathology": "effusion", "anatomy": "left_pleural", "study_id": pseudonym("study", number)}
        self.findings.append(dict.fromkeys(FINDINGS.names) | row | what)

    def reject(self, number: int) -> None:
        """An image that is listed, refused and reported."""
        self._list(number)
        row = {"kind": "image", "reason": "truncated", "message": "the pixel data end early"}
        self.rejected.append({"id": pseudonym("image", number), **row})
        self.mention(number)

    def _list(self, number: int) -> None:
        study, patient = f"{50_000_000 + number}", f"{10_000_000 + number}"
        names = {"image": f"7f3a-{number:04}-d1c0", "study": study, "patient": patient}
        file = {"uri": f"files/p10/p{patient}/{number}.dcm", "bytes": 100, "version": "sha256:0"}
        more = {"split": split_of(number), "labels": [], "boxes": [], "masks": []}
        self.inventory.append(dict.fromkeys(INVENTORY.names) | ids(number) | names | file | more)


@pytest.fixture
def tables() -> Written:
    """Forty accepted images and one refused, each of a patient of its own."""
    written = Written()
    for number in range(40):
        written.accept(number)
    written.reject(40)
    return written


@pytest.fixture(scope="session")
def params(repository: Path) -> parameters.Params:
    limits = {
        "quality": {"max_rejected_share": 0.05, "max_without_findings_share": 0.05, "min_images": 20, "min_side": 64}
    }
    return parameters.validate(parameters.overlay(parameters.read_yaml(repository / "params.yaml"), limits))


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: parameters.Params
) -> Callable[[Written], dict[str, Any]]:
    """Writes tables into a workspace, enters it, and runs the stage there."""

    def checked(tables: Written) -> dict[str, Any]:
        tables.write(tmp_path)
        monkeypatch.chdir(tmp_path)
        return run(params, "mimic_cxr")

    return checked
