"""Zero-shot figures of one dataset, as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.core import paths
from components.model_card.estimates import Estimate
from components.model_card.pictures import Picture, pictures_of

TRUTHS = {
    "drawn": "what the phantom drew, moderate or worse",
    "label": "the archive's own labels",
    "report": "what the reports say",
}


@dataclass(frozen=True)
class ClassRow:
    """One class of a zero-shot evaluation."""

    name: str
    auroc: Estimate
    f1: Estimate
    pointing: Estimate
    baseline: Estimate
    positives: int
    negatives: int


@dataclass(frozen=True)
class Diagnosis:
    """Zero-shot figures of one dataset."""

    dataset: str
    truth: str
    auroc: Estimate
    pointing: Estimate
    baseline: Estimate
    difference: Estimate
    iou: Estimate
    dice: Estimate
    other_truths: list[tuple[str, Estimate]]
    severities: list[tuple[str, Estimate]]
    images: int
    patients: int
    classes: list[ClassRow]
    left_out: list[str]
    not_served: list[str]
    pictures: list[Picture]


def diagnosis(dataset: str, figures: Mapping[str, Any]) -> Diagnosis:
    """The zero-shot figures of a dataset."""
    pointing = figures.get("pointing_game") or {}
    f1, pointed = (figures.get("f1") or {}).get("per_class", {}), pointing.get("per_class", {})
    classes = [
        ClassRow(name, Estimate.of(row), Estimate.of(f1.get(name)), Estimate.of(pointed.get(name)),
                 Estimate((pointed.get(name) or {}).get("baseline")), row["positives"], row["negatives"])
        for name, row in figures["auroc"]["per_class"].items()
    ]  # fmt: skip
    test = figures["images"]["test"]
    return Diagnosis(
        dataset=dataset,
        truth=TRUTHS[figures["truth"]],
        auroc=Estimate.of(figures["auroc"]["macro"]),
        pointing=Estimate.of(pointing),
        baseline=Estimate.of(pointing.get("baseline_mean_position")),
        difference=Estimate.of(pointing.get("difference")),
        iou=Estimate.of(figures.get("iou")),
        dice=Estimate.of(figures.get("dice")),
        other_truths=[
            (words, Estimate.of(figures[f"{kind}_truth"]["auroc"]["macro"]))
            for kind, words in TRUTHS.items()
            if f"{kind}_truth" in figures
        ],
        severities=[
            (grade, Estimate.of(row["auroc"]["macro"])) for grade, row in figures.get("by_severity", {}).items()
        ],
        images=test["images"],
        patients=test["patients"],
        classes=sorted(classes, key=lambda row: -(row.auroc.value or 0)),
        left_out=sorted(figures["too_few"]),
        not_served=figures.get("classes_not_served", []),
        pictures=pictures_of(paths.PLOTS / "zero_shot" / dataset, dataset),
    )
