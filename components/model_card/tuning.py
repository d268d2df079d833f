"""Fine-tuning figures of one task, as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.core import paths
from components.model_card.estimates import Estimate
from components.model_card.pictures import Picture, pictures_of

FIGURES = {
    "auroc": "AUROC",
    "dice": "Dice",
    "iou": "IoU",
    "left_empty": "Left empty",
    "average_precision": "Average precision",
    "f1": "F1",
    "accuracy": "Accuracy",
    "calibration_error": "Calibration error",
}
PRETRAINED, SCRATCH = "pretrained", "scratch"
STARTS = {PRETRAINED: "Pretrained", SCRATCH: "From scratch", "imagenet": "From ImageNet"}
DIFFERENCES = {SCRATCH: "difference", "imagenet": "difference_from_imagenet"}  # of the headline alone


@dataclass(frozen=True)
class Share:
    """Fine-tuning at one share of the labels; the key is that of the metrics file, such as `10_percent`.

    Attributes:
        patients: those of the training split that the share took.
        test_images: the images that every start is judged on.
        positives: how many of these show each class that is judged.
        figures: by name, the headline first; of each start, as `Tuning.starts` has them.
        differences: of the headline, pretrained minus each other start.
    """

    key: str
    patients: int
    test_images: int
    positives: dict[str, int]
    figures: dict[str, list[Estimate]]
    differences: list[Estimate]

    @property
    def name(self) -> str:
        """The share in words."""
        return f"{self.key.removesuffix('_percent').replace('_', '.')} %"

    @property
    def positives_in_words(self) -> str:
        """The positives of its one class, or the fewest and the most of several."""
        counts = sorted(self.positives.values())
        if len(counts) > 1:
            return f"{counts[0]:,} to {counts[-1]:,} in {len(counts)} classes"
        return f"{counts[0]:,}" if counts else "–"


@dataclass(frozen=True)
class Tuning:
    """Fine-tuning on one task; `left_out` is how many images it could not use, and why."""

    task: str
    headline: str
    starts: list[str]
    shares: list[Share]
    left_out: dict[str, int]
    pictures: list[Picture]


def tuning(task: str, figures: Mapping[str, Any]) -> Tuning:
    """The fine-tuning figures of a task."""
    headline = figures["headline"]
    rows, test = figures["shares"], figures["images"]["test"]
    starts = [start for start in STARTS if all(start in row for row in rows.values())]

    def share(key: str, row: Mapping[str, Any]) -> Share:
        missing = "; ".join(sorted(set(row["missing"].values())))

        def estimate(figure: Mapping[str, Any] | None) -> Estimate:
            macro = (figure or {}).get("macro", figure or {})
            return Estimate.of({**macro, "why": missing or macro.get("why")})

        named = [headline, *(name for name in FIGURES if name != headline and name in row[PRETRAINED])]
        told = {FIGURES[name]: [estimate(row[start].get(name)) for start in starts] for name in named}
        differences = [estimate(row[DIFFERENCES[start]]) for start in starts[1:]]
        positives = {name: count for name, count in test["positives"].items() if name not in row["missing"]}
        return Share(key, row["patients"], test["images"], positives, told, differences)

    return Tuning(
        task=task,
        headline=FIGURES[headline],
        starts=[STARTS[start] for start in starts],
        shares=[share(key, row) for key, row in rows.items()],
        left_out={reason: count for reason, count in figures["left_out"].items() if count},
        pictures=pictures_of(paths.PLOTS / "finetune" / task, task),
    )
