"""What each form is trained by: the terms of its loss, and their weighted sum."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from components.core.model.baselines import (
    CONTRAST_TEMPERATURE,
    BaselineOutputs,
    GlobalContrast,
    GlobalOutputs,
    OneStreamOutputs,
)
from components.core.model.config import mends_of
from components.core.model.form import VisionLanguageModel
from components.core.model.losses import (
    Losses,
    compute_losses,
    draw_negatives,
    excluded_as_negatives,
    existence_loss,
    existence_targets,
    prototype_loss,
)
from components.core.model.medslip import Outputs
from components.core.params import Objective

IMAGE_TO_REPORT = 0.75  # share of ConVIRT's loss that finds the report of an image; the rest finds its image


@dataclass(frozen=True)
class OneStreamLosses:
    """The two terms of the one-stream form."""

    existence_p: Tensor
    prototype_p: Tensor

    def total(self, alpha: float, beta: float) -> Tensor:
        """L_exist + alpha L_ProtoCL; there is no ICL that beta could weigh."""
        return self.existence_p + alpha * self.prototype_p


@dataclass(frozen=True)
class SupervisedLoss:
    """The one term of the supervised form."""

    existence_p: Tensor

    def total(self, alpha: float, beta: float) -> Tensor:
        """The term itself."""
        return self.existence_p


@dataclass(frozen=True)
class ContrastLoss:
    """The one term of the global contrast."""

    contrast: Tensor

    def total(self, alpha: float, beta: float) -> Tensor:
        """The term itself."""
        return self.contrast


Terms = Losses | OneStreamLosses | SupervisedLoss | ContrastLoss
TERM_NAMES = tuple(
    dict.fromkeys(
        field.name for kind in (Losses, OneStreamLosses, SupervisedLoss, ContrastLoss) for field in fields(kind)
    )
)


def contrast_loss(images_BD: Tensor, reports_BD: Tensor) -> Tensor:
    """Each image against all reports of the batch, and each report against all images (arXiv 2010.00747, section 2.2).

    Args:
        images_BD: embeddings of length 1.
        reports_BD: those of their reports, in the same order.
    """
    logits_BB = images_BD @ reports_BD.T / CONTRAST_TEMPERATURE
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    to_report, to_image = functional.cross_entropy(logits_BB, own_B), functional.cross_entropy(logits_BB.T, own_B)
    return IMAGE_TO_REPORT * to_report + (1 - IMAGE_TO_REPORT) * to_image


def terms_of(
    model: VisionLanguageModel,
    outputs: Outputs | BaselineOutputs,
    labels_BAP: Tensor,
    objective: Objective,
    generator: torch.Generator | None = None,
) -> Terms:
    """The terms of a batch, whatever the model's form.

    Args:
        model: that gave the outputs; the global contrast encodes the reports by it.
        outputs: of the model in training.
        labels_BAP: int8, -1, 0, 1 or 2.
        objective: the number of negatives, and the mends in force.
        generator: where negatives are drawn from; None takes torch's own.
    """
    mends = mends_of(objective)
    if isinstance(outputs, Outputs):
        return compute_losses(
            outputs, labels_BAP, objective.negatives, mends.positive_weight, generator, mends.negatives_from
        )
    if isinstance(outputs, GlobalOutputs):
        assert isinstance(model, GlobalContrast)
        return ContrastLoss(contrast_loss(outputs.image_BD, model.encode_reports(labels_BAP)))
    targets_BP, _ = existence_targets(labels_BAP)
    existence = existence_loss(outputs.existence_p_BP2, targets_BP, mends.positive_weight)
    if not isinstance(outputs, OneStreamOutputs):
        return SupervisedLoss(existence)
    present_BPA = (labels_BAP == 1).transpose(1, 2)
    excluded_BPA = excluded_as_negatives(labels_BAP, mends.negatives_from).transpose(1, 2)
    negatives_BPM = draw_negatives(excluded_BPA, objective.negatives, generator)
    return OneStreamLosses(existence, prototype_loss(outputs.prototype_p_BPA, present_BPA, negatives_BPM, excluded_BPA))
