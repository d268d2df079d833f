"""Zero-shot figures of one dataset, as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from components.core import paths
from components.model_card.estimates import Estimate
from components.model_card.pictures import TRUTHS, Picture, pictures_of

GROUPINGS = {"sex": "Sex", "age_band": "Age", "view": "View", "scanner": "Scanner", "origin": "Collection"}


@dataclass(frozen=True)
class ClassRow:
    """One class of a zero-shot evaluation.

    F1 and accuracy are at the threshold; `share` is that of positives, which is the chance of average precision.
    """

    name: str
    auroc: Estimate
    average_precision: Estimate
    threshold: float | None
    f1: Estimate
    accuracy: Estimate
    positives: int
    negatives: int
    share: float


@dataclass(frozen=True)
class PlacesRow:
    """The test places of one finding; the baseline is its mean position in training images, chance is any pixel."""

    name: str
    pointing: Estimate
    baseline: Estimate
    chance: Estimate
    places: int


@dataclass(frozen=True)
class Overlap:
    """An overlap of maps with places; the baseline is the mean mask in training images, chance the whole radiograph."""

    estimate: Estimate
    baseline: Estimate
    difference: Estimate
    chance: Estimate

    @classmethod
    def of(cls, figure: Mapping[str, Any]) -> "Overlap":
        """From a metrics file."""
        others = (Estimate.of(figure.get(name)) for name in ("baseline_mean_mask", "difference", "chance"))
        return cls(Estimate.of(figure), *others)


@dataclass(frozen=True)
class Grounding:
    """How well the maps show where findings are.

    Attributes:
        truth: by what the places are known, which need not be the truth of the classes; None where there is no place.
        places: how many test places every figure here is the mean of.
        rows: the same by finding.
    """

    truth: str | None
    places: int
    pointing: Estimate
    pointing_chance: Estimate
    baseline: Estimate
    difference: Estimate
    commonest: Estimate
    difference_to_commonest: Estimate
    both_streams: Estimate
    gain_of_both: Estimate
    iou: Overlap
    dice: Overlap
    rows: list[PlacesRow]


@dataclass(frozen=True)
class GroupRow:
    """Patients or images that share a trait, such as a sex or a scanner."""

    grouping: str
    group: str
    auroc: Estimate
    classes: int
    images: int
    patients: int


@dataclass(frozen=True)
class Judgement:
    """The figures against one kind of truth; `reliability` has the numbers of its picture."""

    truth: str
    auroc: Estimate
    average_precision: Estimate
    average_precision_chance: Estimate
    calibration_error: Estimate
    brier_score: Estimate
    classes: list[ClassRow]
    groups: list[GroupRow]
    left_out: list[str]
    reliability: dict[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """Zero-shot figures of one dataset: by the truth that its headline is of, and by every other that it has.

    `severities` has each grade with its macro AUROC and of how many classes that is; `not_asked` is how many images of
    every split the model was not asked about, and why; `described` the classes that were asked for by a sentence, each
    with the definitions that are nearest to it.
    """

    dataset: str
    headline: Judgement
    others: list[Judgement]
    grounding: Grounding
    severities: list[tuple[str, Estimate, int]]
    images: int
    patients: int
    not_asked: dict[str, int]
    described: dict[str, list[str]]
    not_served: list[str]
    pictures: list[Picture]


def _classes(figures: Mapping[str, Any]) -> list[ClassRow]:
    """The declared classes, the best first."""
    rows = [
        ClassRow(
            name=name,
            auroc=Estimate.of(row),
            average_precision=Estimate.of(figures["average_precision"]["per_class"][name]),
            threshold=figures["thresholds"]["per_class"][name]["value"],
            f1=Estimate.of(figures["f1"]["per_class"][name]),
            accuracy=Estimate.of(figures["accuracy"]["per_class"][name]),
            positives=row["positives"],
            negatives=row["negatives"],
            share=row["positives"] / (row["positives"] + row["negatives"]),
        )
        for name, row in figures["auroc"]["per_class"].items()
    ]
    return sorted(rows, key=lambda row: -(row.auroc.value or 0))


def _groups(subgroups: Mapping[str, Any]) -> list[GroupRow]:
    return [
        GroupRow(
            grouping=GROUPINGS[grouping],
            group=(group[:8] if grouping == "scanner" else group).replace("_", " "),
            auroc=Estimate.of(row),
            classes=len(row["classes"]),
            images=row["images"],
            patients=row["patients"],
        )
        for grouping, groups in subgroups.items()
        for group, row in groups.items()
    ]


def _grounding(figures: Mapping[str, Any]) -> Grounding:
    pointing = figures["pointing_game"]
    both = figures.get("both_streams", {})
    return Grounding(
        truth=TRUTHS[figures["grounding_truth"]] if "grounding_truth" in figures else None,
        places=pointing["n"],
        pointing=Estimate.of(pointing),
        pointing_chance=Estimate.of(pointing.get("chance")),
        baseline=Estimate.of(pointing.get("baseline_mean_position")),
        difference=Estimate.of(pointing.get("difference")),
        commonest=Estimate.of(pointing.get("baseline_commonest_place")),
        difference_to_commonest=Estimate.of(pointing.get("difference_to_commonest_place")),
        both_streams=Estimate.of(both.get("pointing_game")),
        gain_of_both=Estimate.of(both.get("gain_in_pointing")),
        iou=Overlap.of(figures["iou"]),
        dice=Overlap.of(figures["dice"]),
        rows=[
            PlacesRow(name, Estimate.of(row), Estimate(row["baseline"]), Estimate(row["chance"]), row["n"])
            for name, row in pointing["per_class"].items()
        ],
    )


def _judgement(figures: Mapping[str, Any]) -> Judgement:
    classes = _classes(figures)
    return Judgement(
        truth=TRUTHS[figures["truth"]],
        auroc=Estimate.of(figures["auroc"]["macro"]),
        average_precision=Estimate.of(figures["average_precision"]["macro"]),
        average_precision_chance=Estimate(mean(row.share for row in classes) if classes else None),
        calibration_error=Estimate.of(figures["calibration_error"]["macro"]),
        brier_score=Estimate.of(figures["brier_score"]["macro"]),
        classes=classes,
        groups=_groups(figures["subgroups"]),
        left_out=[
            f"{name} {row['positives']} of {row['positives'] + row['negatives']}"
            for name, row in sorted(figures["too_few"].items())
        ],
        reliability=figures["reliability"],
    )


def diagnosis(dataset: str, figures: Mapping[str, Any]) -> Diagnosis:
    """The zero-shot figures of a dataset."""
    test = figures["images"]["test"]
    others = [figures[f"{kind}_truth"] for kind in TRUTHS if f"{kind}_truth" in figures]
    return Diagnosis(
        dataset=dataset,
        headline=_judgement(figures),
        others=[_judgement(other) for other in others],
        grounding=_grounding(figures),
        severities=[
            (grade, Estimate.of(row["auroc"]["macro"]), len(row["auroc"]["per_class"]))
            for grade, row in figures.get("by_severity", {}).items()
            if row["auroc"]["per_class"]
        ],
        images=test["images"],
        patients=test["patients"],
        not_asked={reason: count for reason, count in figures["left_out"].items() if count},
        described={name: list(figures["nearest_terms"][name]) for name in figures["open_vocabulary"]},
        not_served=figures.get("classes_not_served", []),
        pictures=pictures_of(paths.PLOTS / "zero_shot" / dataset, dataset),
    )
