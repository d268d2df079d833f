"""Whether archives have grown: only what lists them runs, and growth is counted dataset by dataset."""

from pathlib import Path

from components.core.params import read_yaml
from pipelines.arrivals import _needed, newly_come
from pipelines.graph import read_graph


def test_only_the_listings_and_what_they_wait_for_run(repository: Path) -> None:
    needed = [stage.address for stage in _needed(read_graph(repository))]
    assert needed == ["phantom", *(f"inventory@{name}" for name in read_yaml(repository / "params.yaml")["datasets"])]


def test_growth_is_counted_by_dataset() -> None:
    assert newly_come({"a": 10, "b": 5}, {}) == 15
    assert newly_come({"a": 10, "b": 5}, {"a": 10, "b": 5}) == 0
    assert newly_come({"a": 13, "b": 1}, {"a": 10, "b": 5}) == 3  # what b lost does not hide what a got
    assert newly_come({"a": 10}, {"a": 10, "gone": 7}) == 0
