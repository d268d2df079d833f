"""Pictures of fine-tuning: no image twice, nothing where there is no figure."""

from pathlib import Path

import pandas as pd
import pytest

from components.finetune.overlays import chosen_rows
from components.finetune.plot import draw_shares


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ([], {}),
        ([0.4], {"best": 0.4}),
        ([0.4, 0.6], {"best": 0.6, "median": 0.4}),
        ([0.4, 0.6, 0.1, 0.5], {"best": 0.6, "median": 0.4, "worst": 0.1}),
    ],
)
def test_no_image_is_shown_twice(dice: list[float], expected: dict[str, float]) -> None:
    names = [f"image{number}" for number in range(len(dice))]
    table = pd.DataFrame({"split": "test", "dice": pd.Series(dice, dtype=float), "image_id": names})
    assert {word: row["dice"] for word, row in chosen_rows(table).items()} == expected


def test_without_a_figure_there_is_no_picture(tmp_path: Path) -> None:
    nothing = {"dice": {"value": None, "low": None, "high": None}}
    figures = {"headline": "dice", "shares": {"1_percent": {"patients": 0, "pretrained": nothing, "scratch": nothing}}}
    draw_shares(figures, tmp_path / "dice.png")
    assert not (tmp_path / "dice.png").exists()
