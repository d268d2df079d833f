"""Cells against their reference, on predictions that were made up: what differs is said to, what does not is not."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.core.comparison.cells import figures_of
from components.core.comparison.paired import compared
from components.core.comparison.table import Row
from components.core.records.predictions import SHARED, prediction_rows
from components.core.records.tables import MANIFEST, write_table
from components.core.records.whole import write_json

NAMES, IMAGES, SEEDS = ["effusion", "edema"], 240, (7, 8)
AUROC, POINTING = "zero_shot mimic_cxr macro AUROC", "zero_shot mimic_cxr pointing game"
LARGE = "finetune rsna 10 % macro AUROC"
ROOT = "data/phantom/archives/mimic_cxr"


def images() -> pd.DataFrame:
    """Images of the test split, two of a patient."""
    rows = [{**dict.fromkeys(SHARED), "image_id": f"i{number:03}", "patient_id": f"p{number // 2}", "split": "test"}
            for number in range(IMAGES)]  # fmt: skip
    return pd.DataFrame(rows)


def write_cell(folder: Path, skill: float, hits: float, seed: int) -> None:
    """A cell whose scores are the truth, `skill` times, and noise that it shares with every cell."""
    generator = np.random.default_rng(seed)
    truth_NC = (generator.random((IMAGES, 2)) < 0.3).astype(np.int8)
    score_NC = 1 / (1 + np.exp(-skill * truth_NC - generator.normal(size=truth_NC.shape)))
    table = prediction_rows(images(), NAMES, "drawn", truth_NC, score_NC)
    write_table(folder / "predictions/zero_shot/mimic_cxr/predictions.parquet", table, "predictions")
    for start, factor in (("pretrained", 1.0), ("scratch", 0.5)):
        tuned_NC = np.where(score_NC > 0.5, 0.5 + factor * (score_NC - 0.5), score_NC * (1 - factor / 10))
        tuned = prediction_rows(images(), NAMES, "label", truth_NC, tuned_NC)
        write_table(folder / f"predictions/finetune/rsna/{start}_10_percent.parquet", tuned, "predictions")
    places = images()[["image_id", "patient_id"]].assign(name="effusion", hit=generator.random(IMAGES) < hits)
    places = places.assign(iou=np.nan, dice=np.nan)
    write_table(folder / "predictions/zero_shot/mimic_cxr/places.parquet", places, "places")
    write_json(folder / "metrics/zero_shot/mimic_cxr.json", {"truth": "drawn", "declared": NAMES})
    write_json(folder / "cell.json", {"finetune": {"min_positives": 5}, "datasets": {"mimic_cxr": {"root": ROOT}}})


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    cells = {"medslip": (1.5, 0.5), "alike": (1.5, 0.5), "worse": (0.7, 0.5), "blind": (1.5, 0.2)}
    for cell, (skill, hits) in cells.items():
        for seed in SEEDS:
            write_cell(tmp_path / "grid" / cell / str(seed), skill, hits, seed)
    content = {"name": "small", "revision": "a" * 40, "reference": "medslip", "seeds": SEEDS, "cells": [*cells]}
    write_json(tmp_path / "grid/grid.json", content)
    row = {**dict.fromkeys(MANIFEST.names), "image_id": "i", "study_id": "s", "patient_id": "p", "split": "test",
           "shard": 0, "row": 0, "source_sha256": "0" * 64, "rows": 8, "columns": 8, "affine": [1.0] * 6}  # fmt: skip
    write_table(tmp_path / "images/mimic_cxr/manifest.parquet", [row], "manifest")
    return tmp_path


def row(folder: Path, cell: str, figure: str) -> Row:
    found = compared(folder / "grid", folder / "images").row(cell, figure)
    assert found is not None
    return found


def test_what_differs_is_said_to_and_what_does_not_is_not(grid: Path) -> None:
    comparison = compared(grid / "grid", grid / "images")
    assert comparison.made_on.archives["mimic_cxr"].studies == 1
    assert comparison.made_on.archives["mimic_cxr"].synthetic
    assert [figure.name for figure in comparison.figures] == [AUROC, POINTING, LARGE]
    verdicts = {(found.cell, found.figure): found.differs for found in comparison.rows}
    assert verdicts[("worse", AUROC)]
    assert verdicts[("blind", POINTING)]
    assert not any(verdicts[cell, figure] for cell in ("medslip", "alike") for figure in (AUROC, POINTING, LARGE))
    assert not verdicts["worse", POINTING]
    worse, reference = comparison.row("worse", AUROC), comparison.row("medslip", AUROC)
    assert worse is not None
    assert reference is not None
    assert (worse.patients, worse.seeds) == (IMAGES // 2, 2)
    assert worse.difference == pytest.approx(worse.value - reference.value, abs=1e-5)
    assert worse.difference_high is not None
    assert worse.difference_high < 0


def test_what_few_patients_show_has_no_figure_however_many_their_images(grid: Path) -> None:
    folder = grid / "grid/medslip/7"
    table = pd.read_parquet(folder / "predictions/finetune/rsna/pretrained_10_percent.parquet")
    positives = table[table["truth"] == 1].groupby("name")["patient_id"].agg(["size", "nunique"])
    least = int(positives["nunique"].max()) + 1
    assert (positives["size"] >= least).any()
    write_json(folder / "cell.json", {"finetune": {"min_positives": least}, "datasets": {"mimic_cxr": {"root": ROOT}}})
    names = [figure.kind.name for figure in figures_of(folder, "medslip", {"mimic_cxr": NAMES})]
    assert names == [AUROC, POINTING]


def test_the_start_from_scratch_is_a_cell_of_its_own(grid: Path) -> None:
    assert row(grid, "scratch", LARGE).seeds == 2
    assert compared(grid / "grid", grid / "images").row("scratch", AUROC) is None


def test_an_interval_over_unlike_seeds_stays_within_the_range_of_its_figure(grid: Path) -> None:
    write_cell(grid / "grid/alike/7", 30.0, 0.5, 7)
    alike = row(grid, "alike", AUROC)
    assert alike.high == 1.0
    assert alike.low is not None
    assert alike.low < alike.value < alike.high


def test_swapping_two_cells_turns_the_difference_round(grid: Path) -> None:
    before = row(grid, "worse", AUROC)
    for old, new in (("worse", "away"), ("medslip", "worse"), ("away", "medslip")):
        shutil.move(grid / "grid" / old, grid / "grid" / new)
    after = row(grid, "worse", AUROC)
    assert before.difference < 0 < after.difference
    assert after.difference == pytest.approx(-before.difference)
    assert (after.difference_low, after.difference_high) == pytest.approx(
        (-(before.difference_high or 0), -(before.difference_low or 0)), abs=1e-6
    )


def test_a_grid_half_done_compares_what_is_there(grid: Path) -> None:
    shutil.rmtree(grid / "grid/alike")
    shutil.rmtree(grid / "grid/worse/8")
    assert row(grid, "worse", AUROC).seeds == 1
    assert compared(grid / "grid", grid / "images").row("alike", AUROC) is None
    shutil.rmtree(grid / "grid/medslip")
    with pytest.raises(ValueError, match="the reference cell medslip is not done yet"):
        compared(grid / "grid", grid / "images")


def test_images_in_another_order_are_paired_all_the_same(grid: Path) -> None:
    before = row(grid, "worse", AUROC)
    path = grid / "grid/worse/7/predictions/zero_shot/mimic_cxr/predictions.parquet"
    table = pd.read_parquet(path)
    write_table(path, table.iloc[::-1].reset_index(drop=True), "predictions")
    assert row(grid, "worse", AUROC) == before


def test_a_class_that_one_cell_does_not_serve_is_left_out_for_all(grid: Path) -> None:
    write_json(grid / "grid/alike/7/metrics/zero_shot/mimic_cxr.json", {"truth": "drawn", "declared": ["edema"]})
    comparison = compared(grid / "grid", grid / "images")
    assert comparison.figures[0].over == "1 classes, drawn truth"
    assert comparison.row("medslip", POINTING) is None  # the places are of the other class
