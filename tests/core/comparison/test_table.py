"""A comparison on disk: what is written is read, what is no comparison is refused, and the words say what differs."""

import json
from pathlib import Path

import pytest

from components.core.comparison import read_comparison
from components.core.comparison.table import Archive, Comparison, FigureKind, MadeOn, Row, in_words, write_comparison

FIGURE = "zero_shot mimic_cxr macro AUROC"


def row(cell: str, value: float, low: float, high: float) -> Row:
    """A cell against a reference of 0.8."""
    difference = (round(value - 0.8, 6), low - 0.8, high - 0.8)
    return Row(
        cell=cell, figure=FIGURE, value=value, low=low, high=high, difference=difference[0],
        difference_low=difference[1], difference_high=difference[2],
        differs=difference[1] > 0 or difference[2] < 0, patients=120, seeds=2,
    )  # fmt: skip


COMPARISON = Comparison(
    name="small",
    made_on=MadeOn(
        revision="a" * 40,
        archives={
            "mimic_cxr": Archive(digest="b" * 64, studies=1000, images=1900, synthetic=True),
            "siim_acr": Archive(digest="c" * 64, studies=300, images=300, synthetic=False),
        },
    ),
    seeds=(7, 8),
    reference="medslip",
    figures=(FigureKind(name=FIGURE, over="the declared classes"),),
    rows=(row("medslip", 0.8, 0.78, 0.82), row("worse", 0.7, 0.66, 0.74), row("alike", 0.81, 0.78, 0.84)),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_comparison(COMPARISON, tmp_path)
    assert read_comparison(tmp_path / "small.json") == COMPARISON
    assert COMPARISON.cells == ("medslip", "worse", "alike")
    assert COMPARISON.row("worse", FIGURE) == COMPARISON.rows[1]
    assert COMPARISON.row("worse", "another") is None


def test_what_does_not_differ_is_said_not_to() -> None:
    table = in_words(COMPARISON)
    assert "Archives: mimic_cxr (1,000 synthetic studies), siim_acr (300 studies). Commit aaaaaaaaaaaa." in table
    assert "| medslip | 0.800 (0.780 to 0.820) |  | reference | 120 | 2 |" in table
    assert "| worse | 0.700 (0.660 to 0.740) | -0.100 (-0.140 to -0.060) | worse | 120 | 2 |" in table
    assert "| alike | 0.810 (0.780 to 0.840) | +0.010 (-0.020 to +0.040) | does not differ | 120 | 2 |" in table


def test_what_is_no_comparison_is_refused_in_a_sentence(tmp_path: Path) -> None:
    write_comparison(COMPARISON, tmp_path)
    content = json.loads((tmp_path / "small.json").read_text())
    del content["rows"][1]["differs"]
    (tmp_path / "small.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"small.json: rows.1.differs: is missing; it must be true or false"):
        read_comparison(tmp_path / "small.json")
    with pytest.raises(ValueError, match="does not exist"):
        read_comparison(tmp_path / "nothing.json")
