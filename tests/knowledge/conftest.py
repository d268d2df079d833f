"""A small archive of reports in the MIMIC-CXR layout, listed, in a workspace of its own."""

import itertools
from pathlib import Path

import pandas as pd
import pytest

from components.core import params as parameters
from components.core import paths
from components.core.records.tables import INVENTORY, write_table

FINDINGS = ("pleural effusion", "pneumothorax", "consolidation", "atelectasis", "pulmonary nodule", "rib fracture")
PLACES = ("at the left base", "at the right base", "in the right upper lobe", "in the left lower lobe")
FRAMES = (
    "There is a small {finding} {place}.",
    "No evidence of {finding} is seen {place}.",
    "Possible {finding} {place}, please correlate.",
    "The {finding} {place} has increased since the prior study.",
)


def report(number: int) -> str:
    """A report of three sentences; equal numbers give equal reports."""
    choices = list(itertools.product(FRAMES, FINDINGS, PLACES))
    sentences = [
        frame.format(finding=finding, place=place)
        for frame, finding, place in (choices[(number * 37 + turn * 61) % len(choices)] for turn in range(3))
    ]
    return f"FINDINGS:\n{sentences[0]} {sentences[1]}\n\nIMPRESSION: {sentences[2]}\n"


def inventory_row(number: int, split: str, uri: str) -> dict:
    """A row of the inventory for a study with a report."""
    given = {
        "uri": uri.replace(".txt", "/image.dcm"),
        "bytes": 1,
        "version": "sha256:0",
        "image": f"image-{number}",
        "study": f"study-{number}",
        "patient": f"patient-{number}",
        "image_id": f"{number:024x}",
        "study_id": f"{number + 4096:024x}",
        "patient_id": f"{number + 8192:024x}",
        "report_uri": uri,
        "report_version": "sha256:1",
        "split": split,
        "labels": [],
        "boxes": [],
    }
    return {name: given.get(name) for name in INVENTORY.names}


def write_archive(folder: Path, texts: dict[int, str], splits: dict[int, str]) -> pd.DataFrame:
    """Write reports and their listing into a workspace; returns the listing."""
    rows = []
    for number, text in texts.items():
        uri = f"files/p10/p{10_000_000 + number}/s{50_000_000 + number}.txt"
        path = folder / "archive" / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        rows.append(inventory_row(number, splits[number], uri))
    write_table(folder / paths.inventory_table("mimic_cxr"), rows, "inventory")
    return pd.DataFrame(rows)


def small_params(repository: Path, archive: Path, **knowledge: object) -> parameters.Params:
    """The committed params.yaml with a text encoder that trains in a few seconds."""
    changes = {
        "datasets": {"mimic_cxr": {"root": str(archive)}},
        "knowledge": {
            "threads": 1,
            "training": {
                "min_patients": 5,
                "width": 64,
                "layers": 1,
                "steps": 100,
                "batch": 16,
                "learning_rate": 0.003,
            },
            **knowledge,
        },
    }
    content = parameters.overlay(parameters.read_yaml(repository / "params.yaml"), changes)
    return parameters.validate(content)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty patients with a report each: thirty to train on, five to validate, five to test."""
    folder = tmp_path_factory.mktemp("workspace")
    splits = {number: "train" if number < 30 else "validate" if number < 35 else "test" for number in range(40)}
    write_archive(folder, {number: report(number) for number in splits}, splits)
    return folder
