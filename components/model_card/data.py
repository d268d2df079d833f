"""What became of the images of one dataset, and of whom they are."""

from dataclasses import dataclass

from components.core import paths
from components.core.params import Params
from components.core.records.whole import read_json
from components.model_card.estimates import readable
from components.model_card.written import written

COUNTED = {"split": "Split", "sex": "Sex", "age_band": "Age", "view": "View", "origin": "Collection"}


@dataclass(frozen=True)
class Archive:
    """One dataset: what was listed, taken and refused; images by split, sex, age, view and collection.

    Its own labels by what they say, and its boxes and masks that had no place in their image.
    """

    name: str
    layout: str
    synthetic: bool
    listed: int
    patients: int
    taken: int
    refused: int
    reasons: dict[str, int]
    counts: dict[str, dict[str, int]]
    scanners: int
    labels: dict[str, int]
    mended: dict[str, int]
    quality: list[tuple[str, str]]
    digest: str


def archive(name: str, params: Params) -> Archive:
    """What became of a dataset's images."""
    dataset = params.datasets[name]
    with written(paths.metrics_file("inventory", name)) as listed:
        facts = {key: listed[key] for key in ("patients", "digest")} | {"listed": listed["images"]}
    with written(paths.metrics_file("ingest", name)) as taken:
        facts |= {
            "taken": taken["manifest"],
            "refused": taken["rejected"] + taken["rejected_studies"],
            "reasons": taken["rejected_by_reason"],
            "counts": {words: taken[key] for key, words in COUNTED.items() if set(taken[key]) - {"not_told"}},
            "scanners": taken["scanners"],
            "labels": taken["labels"],
            "mended": {key: count for key, count in taken["mended"].items() if count},
        }
    return Archive(
        name=name,
        layout=dataset.layout,
        synthetic=paths.is_synthetic(dataset.root),
        quality=list(readable(read_json(paths.metrics_file("quality", name)))),
        **facts,
    )
