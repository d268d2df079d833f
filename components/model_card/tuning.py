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
    """Fine-tuning on one task; the figure is AUROC or Dice."""

    task: str
    figure: str
    shares: list[Share]
    pictures: list[Picture]


def tuning(task: str, figures: Mapping[str, Any]) -> Tuning:
    """The fine-tuning figures of a task."""
    headline = figures["headline"]

    def of(start: Mapping[str, Any]) -> Estimate:
        return Estimate.of(start[headline].get("macro", start[headline]))

    shares = [
        Share(key, row["patients"], of(row["pretrained"]), of(row["scratch"]), Estimate.of(row["difference"]))
        for key, row in figures["shares"].items()
    ]
    return Tuning(task, HEADLINES[headline], shares, pictures_of(paths.PLOTS / "finetune" / task, task))
