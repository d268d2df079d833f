"""The three losses as masked means over dense logits: no loop, no boolean indexing, no wait for the device.

Labels M [B, A, P] are int8: 1 present, 0 absent, -1 not mentioned. Where nothing counts, a loss is 0.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from components.core.model.medslip import Outputs


@dataclass(frozen=True)
class Losses:
    """The five terms of a batch, each a scalar."""

    existence_p: Tensor
    existence_a: Tensor
    prototype_p: Tensor
    prototype_a: Tensor
    relation: Tensor

    def total(self, alpha: float, beta: float) -> Tensor:
        """L_exist + alpha L_ProtoCL + beta L_ICL."""
        prototype = self.prototype_p + self.prototype_a
        return self.existence_p + self.existence_a + alpha * prototype + beta * self.relation


def existence_targets(labels_BAP: Tensor) -> tuple[Tensor, Tensor]:
    """Targets y_p [B, P] and y_a [B, A]: 1 where any cell is present, else 0 where any is absent, else -1.

    These are the largest labels over the other axis, since 1 > 0 > -1.
    """
    return labels_BAP.amax(1), labels_BAP.amax(2)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true; 0 where it is true nowhere."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def full_precision(logits: Tensor) -> Tensor:
    """Half-precision logits as float32; others as they are."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def existence_loss(logits_BQ2: Tensor, targets_BQ: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Cross-entropy of absent against present, weighted mean over the targets that are 0 or 1.

    Reports deny a finding far more often than they state it. The weight makes those few count; log(weight), added to
    the logits of present in training only, takes it out of the probabilities again: the loss is least where the softmax
    of the logits themselves is the share of present (logit adjustment, Menon et al., arXiv 2007.07314).

    Args:
        logits_BQ2: of absent and present.
        targets_BQ: 1 present, 0 absent, -1 not mentioned.
        positive_weight: of a present entry against an absent one; 1 is the published loss.
    """
    absent_BQ, present_BQ = full_precision(logits_BQ2).unbind(-1)
    adjusted_n2 = torch.stack([absent_BQ, present_BQ + math.log(positive_weight)], -1).flatten(0, 1)
    losses_n = functional.cross_entropy(adjusted_n2, targets_BQ.clamp(min=0).long().flatten(), reduction="none")
    weights_n = torch.where(targets_BQ == 1, positive_weight, (targets_BQ == 0).to(losses_n.dtype)).flatten()
    return (losses_n * weights_n).sum() / weights_n.sum().clamp(min=1)


def draw_negatives(present_BQK: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Indices [B, Q, count] into the other book, uniform without replacement among the cells that are not present.

    Where fewer than `count` cells are not present, the rest of the indices point at present cells; `prototype_loss`
    leaves those out.
    """
    noise_BQK = torch.rand(present_BQK.shape, device=present_BQK.device, generator=generator)
    return noise_BQK.masked_fill(present_BQK, -1.0).topk(count, dim=-1).indices


def prototype_loss(logits_BQK: Tensor, present_BQK: Tensor, negatives_BQM: Tensor) -> Tensor:
    """ProtoCL of one stream: the mean logit of the present cells against the logits of the negatives.

    A product is linear, so <mean of t_k, c> is the mean of <t_k, c>: the averaged prototypes are never built. The mean
    is over the (study, query) pairs with at least one present cell.

    Args:
        logits_BQK: `Outputs.prototype_p_BPA` or `Outputs.prototype_a_BAP`.
        present_BQK: boolean, where M is 1, with the query's axis before the other book's.
        negatives_BQM: see `draw_negatives`.
    """
    logits_BQK = full_precision(logits_BQK)
    count_BQ = present_BQK.sum(-1)
    positive_BQ = torch.where(present_BQK, logits_BQK, 0).sum(-1) / count_BQ.clamp(min=1)
    negative_BQM = logits_BQK.gather(-1, negatives_BQM)
    negative_BQM = negative_BQM.masked_fill(present_BQK.gather(-1, negatives_BQM), -torch.inf)
    choices_BQM = torch.cat([positive_BQ.unsqueeze(-1), negative_BQM], -1)
    return masked_mean(choices_BQM.logsumexp(-1) - positive_BQ, count_BQ > 0)


def relation_loss(logits_BAP: Tensor, labels_BAP: Tensor) -> Tensor:
    """ICL: binary cross-entropy of every pair that a report decides, mean over the cells with M >= 0."""
    logits_BAP = full_precision(logits_BAP)
    targets_BAP = labels_BAP.clamp(min=0).to(logits_BAP.dtype)
    losses_BAP = functional.binary_cross_entropy_with_logits(logits_BAP, targets_BAP, reduction="none")
    return masked_mean(losses_BAP, labels_BAP >= 0)


def compute_losses(
    outputs: Outputs,
    labels_BAP: Tensor,
    negatives: int,
    positive_weight: float = 1.0,
    generator: torch.Generator | None = None,
) -> Losses:
    """All five terms.

    Args:
        outputs: of the model in training.
        labels_BAP: int8, -1, 0 or 1.
        negatives: K, how many negatives a ProtoCL term has.
        positive_weight: see `existence_loss`; 1 is the published loss.
        generator: where the negatives are drawn from; None takes torch's own.
    """
    targets_BP, targets_BA = existence_targets(labels_BAP)
    present_BAP = labels_BAP == 1
    present_BPA = present_BAP.transpose(1, 2)
    negatives_p_BPM = draw_negatives(present_BPA, negatives, generator)
    negatives_a_BAM = draw_negatives(present_BAP, negatives, generator)
    return Losses(
        existence_p=existence_loss(outputs.existence_p_BP2, targets_BP, positive_weight),
        existence_a=existence_loss(outputs.existence_a_BA2, targets_BA, positive_weight),
        prototype_p=prototype_loss(outputs.prototype_p_BPA, present_BPA, negatives_p_BPM),
        prototype_a=prototype_loss(outputs.prototype_a_BAP, present_BAP, negatives_a_BAM),
        relation=relation_loss(outputs.relation_BAP, labels_BAP),
    )
