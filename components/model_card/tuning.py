"""Fine-tuning figures of one task, as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.core import paths
from components.model_card.estimates import Estimate
from components.model_card.pictures import Picture, pictures_of

HEADLINES = {"auroc": "AUROC", "dice": "Dice"}


@dataclass(frozen=True)
class Share:
    """Fine-tuning at one share of the labels; the key is that of the metrics file, such as `10_percent`."""

    key: str
    patients: int
    pretrained: Estimate
    scratch: Estimate
    difference: Estimate

    @property
    def name(self) -> str:
        """The share in words."""
        return self.key.replace("_", " ").replace("percent", "%")


@dataclass(frozen=True)
class Tuning:
    """Fine-tuning on one task; the figure is AUROC or Dice, `left_out` how many images it could not use, and why."""

    task: str
    figure: str
    shares: list[Share]
    left_out: dict[str, int]
    pictures: list[Picture]


def tuning(task: str, figures: Mapping[str, Any]) -> Tuning:
    """The fine-tuning figures of a task."""
    headline = figures["headline"]

    def share(key: str, row: Mapping[str, Any]) -> Share:
        starts = [row[start][headline] for start in ("pretrained", "scratch")]
        told = [*(figure.get("macro", figure) for figure in starts), row["difference"]]
        why = "; ".join(sorted(set(row["missing"].values()))) or told[0].get("why")
        return Share(key, row["patients"], *(Estimate.of({**figure, "why": why}) for figure in told))

    shares = [share(key, row) for key, row in figures["shares"].items()]
    left_out = {reason: count for reason, count in figures["left_out"].items() if count}
    return Tuning(task, HEADLINES[headline], shares, left_out, pictures_of(paths.PLOTS / "finetune" / task, task))
