"""A small workspace to pretrain in: bright squares on noise, and reports that say on which side each lies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from components.core import params as parameters
from components.core import paths
from components.core.params import Params
from components.core.records.labels import StudyLabels
from components.core.records.shards import ShardWriter
from components.core.records.tables import MANIFEST, write_table
from components.core.vocabulary import ANATOMIES, ANATOMY_INDEX, PATHOLOGIES, PATHOLOGY_INDEX

SIZE, COUNT = 48, 100
CHANGES = {
    "seed": 3,
    "threads": 1,
    "precision": "32-true",
    "image_size": 48,
    "batch": 8,
    "epochs": 3,
    "learning_rate": 0.003,
    "warmup_steps": 4,
    "validate_every": 1,
    "model": {
        "trunk": {"layer_type": "basic", "embedding_size": 8, "depths": [1, 1, 1], "hidden_sizes": [16, 16, 16]},
        "width": 16,
        "decoder_layers": 1,
        "heads": 2,
        "dropout": 0.1,
    },
}


def manifest_row(number: int) -> dict[str, object]:
    return {
        **dict.fromkeys(MANIFEST.names),
        "image_id": f"image{number}",
        "study_id": f"study{number}",
        "patient_id": f"patient{number}",
        "split": ("train", "train", "train", "validate", "test")[number % 5],
        "view": "LATERAL" if number == COUNT - 5 else "PA",
        "shard": 0,
        "row": number,
        "source_sha256": f"{number:064x}",
        "rows": SIZE,
        "columns": SIZE,
        "affine": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    }


def write_inputs(root: Path) -> None:
    generator = np.random.default_rng(0)
    images, cells, values = root / paths.IMAGES / "mimic_cxr", [], []
    images.mkdir(parents=True)
    with ShardWriter(images, SIZE, COUNT) as writer:
        for number in range(COUNT):
            image = generator.normal(80, 10, (SIZE, SIZE))
            for name, rows in (("nodule", slice(8, 16)), ("effusion", slice(30, 40))):
                side = ("left", "right", None)[int(generator.integers(3))]
                if side is not None:
                    image[rows, slice(30, 40) if side == "left" else slice(8, 18)] += 120
                anatomy = ANATOMY_INDEX[f"{side}_lung_unspec" if side else "pulmonary"]
                cells.append((number, anatomy, PATHOLOGY_INDEX[name]))
                values.append(int(side is not None))
            writer.add(np.clip(image, 0, 255).astype(np.uint8))
    write_table(images / "manifest.parquet", [manifest_row(number) for number in range(COUNT)], "manifest")
    studies = tuple(f"study{number}" for number in range(COUNT))
    labels = StudyLabels(studies, np.array(cells, np.int32), np.array(values, np.int8))
    labels.write(root / paths.FINDINGS / "labels.npz")
    torch.manual_seed(0)
    books = {"pathologies": torch.randn(len(PATHOLOGIES), 12), "anatomies": torch.randn(len(ANATOMIES), 12)}
    (root / paths.KNOWLEDGE).mkdir(parents=True)
    save_file(books, root / paths.KNOWLEDGE / "books.safetensors")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pretrain_inputs")
    write_inputs(root)
    return root


@pytest.fixture
def workspace(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace of its own, with the inputs linked into it; the current folder."""
    for folder in ("data", "models/knowledge"):
        (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder).symlink_to(inputs / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MEDSLIP_DEVICE", "cpu")
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def settings(repository: Path, **changes: object) -> Params:
    """The parameters of the small workspace; written down too, for the command line."""
    content = parameters.read_yaml(repository / "params.yaml")
    content = parameters.overlay(content, {"pretrain": {**CHANGES, **changes}})
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return parameters.validate(content)
