"""Classification: the network, its loss, its figures and its table. Axes: B batch, N images, C classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.devices import device
from components.core.metrics.classification import Cases, decision_figures, ranking_figures, undefined
from components.core.metrics.estimate import Estimate, PatientBootstrap
from components.core.metrics.ranking import auroc_estimate
from components.core.model.trunk import Trunk
from components.core.params import Finetune
from components.core.records.predictions import prediction_rows
from components.core.records.shards import ImageShards
from components.finetune.examples import Labelled
from components.finetune.loading import LabelledImages, ReadingOrder, loader

TABLE = "predictions"
HEADLINE = "auroc"
NO_LESSON = "no class has both a positive and a negative image among the patients of the share"
NOTHING_LEARNT = {"auroc": {"macro": undefined(NO_LESSON), "per_class": {}}}


class Classifier(nn.Module):
    """The image trunk, the mean over its patches, and one linear head.

    Args:
        trunk: it becomes part of the classifier.
        classes: how many.
    """

    def __init__(self, trunk: Trunk, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.channels, classes)

    def forward(self, images_B1HW: Tensor) -> Tensor:
        """Logits [B, C] of images with grey levels 0 to 255."""
        patches_BCHW: Tensor = self.trunk(images_B1HW)
        logits_BC: Tensor = self.head(patches_BCHW.mean((2, 3)))
        return logits_BC


def masked_loss(logits_BC: Tensor, truth_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy, the mean over labels that are 0 or 1, and their number; 0 where there is none."""
    known_BC = (truth_BC >= 0).float()
    losses_BC = functional.binary_cross_entropy_with_logits(
        logits_BC.float(), truth_BC.clamp(min=0).float(), reduction="none"
    )
    return (losses_BC * known_BC).sum() / known_BC.sum().clamp(min=1), known_BC.sum()


def scores(
    network: nn.Module, labelled: Labelled, shards: ImageShards, side: int, settings: Finetune
) -> npt.NDArray[np.float64]:
    """Probabilities [N, C] in full precision."""
    place = device()
    network = network.eval().to(place)
    images = loader(LabelledImages(labelled, shards, side, settings), ReadingOrder(len(labelled), settings.batch))
    with torch.inference_mode():
        logits = [network(images_B1SS.to(place)).double().sigmoid().cpu() for images_B1SS, _ in images]
    return torch.cat(logits).numpy()


def cases_of(labelled: Labelled, score_NC: npt.NDArray[np.float64], split: str) -> Cases:
    """Truth and scores of one split."""
    inside_N = (labelled.images["split"] == split).to_numpy()
    patients = tuple(labelled.images["patient_id"][inside_N])
    return Cases(labelled.classes, patients, labelled.truth_NC[inside_N], score_NC[inside_N])


class Judged:
    """What a trained classifier says of the validation and test images.

    Attributes:
        figures: AUROC, average precision, calibration, F1 and accuracy with their intervals, on test patients.
        headline: the macro AUROC with its resamples; None where no class has a figure.
        table: one row a prediction.
    """

    def __init__(
        self,
        network: nn.Module,
        labelled: Labelled,
        shards: ImageShards,
        side: int,
        settings: Finetune,
        missing: Mapping[str, str],
    ) -> None:
        score_NC = scores(network, labelled, shards, side, settings)
        test, validation = (cases_of(labelled, score_NC, split) for split in ("test", "validate"))
        names = tuple(name for name in labelled.classes if name not in missing)
        bootstrap = PatientBootstrap(test.patients, settings.bootstrap, settings.seed)
        self.figures: dict[str, Any] = {
            **ranking_figures(test, names, bootstrap),
            **decision_figures(test, validation, names, bootstrap),
        }
        areas = [auroc_estimate(*test.column(name), bootstrap) for name in names]
        self.headline = Estimate.mean(areas) if areas else None
        self.table: pd.DataFrame = prediction_rows(
            labelled.images, labelled.classes, "label", labelled.truth_NC, score_NC
        )
