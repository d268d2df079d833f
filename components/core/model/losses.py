"""The losses as masked means over dense logits: no loop, no boolean indexing, no wait for the device.

Labels M [B, A, P] are int8: 1 present, 0 absent, -1 not mentioned, and 2 uncertain where uncertain mentions are soft:
half present for existence and ICL, neither positive nor negative for ProtoCL. Where nothing counts, a loss is 0.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.nn import functional

from components.core.model.medslip import Outputs, full_precision
from components.core.params import NegativesFrom
from components.core.records.labels import UNCERTAIN


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


def soft_targets(labels: Tensor) -> Tensor:
    """Labels of any shape as float targets: 1 present, 0.5 uncertain, 0 absent, -1 not mentioned."""
    return torch.where(labels == UNCERTAIN, 0.5, labels.float())


def existence_targets(labels_BAP: Tensor) -> tuple[Tensor, Tensor]:
    """Targets y_p [B, P] and y_a [B, A]: the largest over the other axis, present before uncertain before absent."""
    targets_BAP = soft_targets(labels_BAP)
    return targets_BAP.amax(1), targets_BAP.amax(2)


def ranks() -> tuple[int, int]:
    """The rank of this process, and how many train together; (0, 1) for one alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def weighted_mean(weighted: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted values by the sum of their weights; 0 where no weight is above 0.

    The weights are summed over all ranks, so that the mean of the ranks' gradients is the gradient of the mean over
    the whole batch, however unevenly what counts is spread over the ranks.
    """
    _, count = ranks()
    total = weights.sum().to(weighted.dtype)
    if count > 1:
        distributed.all_reduce(total)
    return weighted.sum() * count / total.clamp(min=1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true; 0 where it is true nowhere."""
    return weighted_mean(torch.where(mask, values, 0), mask)


def existence_loss(logits_BQ2: Tensor, targets_BQ: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Cross-entropy of absent against present, weighted mean over the targets that are mentioned.

    Reports deny a finding far more often than they state it. The weight makes those few count; log(weight), added to
    the logits of present in training only, takes it out of the probabilities again: the loss is least where the softmax
    of the logits themselves is the share of present (logit adjustment, Menon et al., arXiv 2007.07314).

    Args:
        logits_BQ2: of absent and present.
        targets_BQ: 1 present, 0 absent, anything between for an uncertain mention, -1 not mentioned.
        positive_weight: of a present entry against an absent one; 1 is the published loss.
    """
    absent_BQ, present_BQ = full_precision(logits_BQ2).unbind(-1)
    adjusted_BQ2 = torch.stack([absent_BQ, present_BQ + math.log(positive_weight)], -1)
    known_BQ, share_BQ = targets_BQ >= 0, targets_BQ.clamp(min=0).to(adjusted_BQ2.dtype)
    weights_BQ2 = torch.stack([1 - share_BQ, positive_weight * share_BQ], -1) * known_BQ.unsqueeze(-1)
    losses_BQ2 = -adjusted_BQ2.log_softmax(-1)
    return weighted_mean(losses_BQ2 * weights_BQ2, weights_BQ2)


def draw_negatives(excluded_BQK: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Indices [B, Q, count] into the other book, uniform without replacement among the cells that are not excluded.

    Where fewer than `count` cells are left, the rest of the indices point at excluded cells; `prototype_loss` leaves
    those out. A generator that is equal on all ranks gives each the draws of its rows of the whole batch.
    """
    rank, world = ranks()
    rows, *rest = excluded_BQK.shape
    drawn = torch.rand((world * rows, *rest), device=excluded_BQK.device, generator=generator)
    noise_BQK = drawn[rank * rows : (rank + 1) * rows]
    return noise_BQK.masked_fill(excluded_BQK, -1.0).topk(count, dim=-1).indices


def prototype_loss(
    logits_BQK: Tensor, present_BQK: Tensor, negatives_BQM: Tensor, excluded_BQK: Tensor | None = None
) -> Tensor:
    """ProtoCL of one stream: the mean logit of the present cells against the logits of the negatives.

    A product is linear, so <mean of t_k, c> is the mean of <t_k, c>: the averaged prototypes are never built. The mean
    is over the (study, query) pairs with at least one present cell and at least one negative.

    Args:
        logits_BQK: `Outputs.prototype_p_BPA` or `Outputs.prototype_a_BAP`.
        present_BQK: boolean, where M is 1, with the query's axis before the other book's.
        negatives_BQM: see `draw_negatives`.
        excluded_BQK: boolean, the cells that are no negatives, the present ones at least; None is the present ones.
    """
    logits_BQK = full_precision(logits_BQK)
    excluded_BQK = present_BQK if excluded_BQK is None else excluded_BQK
    count_BQ = present_BQK.sum(-1)
    positive_BQ = torch.where(present_BQK, logits_BQK, 0).sum(-1) / count_BQ.clamp(min=1)
    none_BQM = excluded_BQK.gather(-1, negatives_BQM)
    negative_BQM = logits_BQK.gather(-1, negatives_BQM).masked_fill(none_BQM, -torch.inf)
    choices_BQM = torch.cat([positive_BQ.unsqueeze(-1), negative_BQM], -1)
    return masked_mean(choices_BQM.logsumexp(-1) - positive_BQ, (count_BQ > 0) & ~none_BQM.all(-1))


def relation_loss(logits_BAP: Tensor, labels_BAP: Tensor) -> Tensor:
    """ICL: binary cross-entropy of every pair that a report mentions, mean over those cells."""
    logits_BAP = full_precision(logits_BAP)
    targets_BAP = soft_targets(labels_BAP).to(logits_BAP.dtype).clamp(min=0)
    losses_BAP = functional.binary_cross_entropy_with_logits(logits_BAP, targets_BAP, reduction="none")
    return masked_mean(losses_BAP, labels_BAP >= 0)


def excluded_as_negatives(labels_BAP: Tensor, negatives_from: NegativesFrom) -> Tensor:
    """Boolean [B, A, P]: the cells that ProtoCL draws no negative from; uncertain ones never are negatives."""
    if negatives_from == "absent":
        return labels_BAP != 0
    return labels_BAP > 0


def compute_losses(
    outputs: Outputs,
    labels_BAP: Tensor,
    negatives: int,
    positive_weight: float = 1.0,
    generator: torch.Generator | None = None,
    negatives_from: NegativesFrom = "not_present",
) -> Losses:
    """All five terms.

    Args:
        outputs: of the model in training.
        labels_BAP: int8, -1, 0, 1 or 2.
        negatives: K, how many negatives a ProtoCL term has.
        positive_weight: see `existence_loss`; 1 is the published loss.
        generator: where the negatives are drawn from; None takes torch's own.
        negatives_from: see `excluded_as_negatives`; `not_present` is the published loss.
    """
    targets_BP, targets_BA = existence_targets(labels_BAP)
    present_BAP, excluded_BAP = labels_BAP == 1, excluded_as_negatives(labels_BAP, negatives_from)
    present_BPA, excluded_BPA = present_BAP.transpose(1, 2), excluded_BAP.transpose(1, 2)
    negatives_p_BPM = draw_negatives(excluded_BPA, negatives, generator)
    negatives_a_BAM = draw_negatives(excluded_BAP, negatives, generator)
    return Losses(
        existence_p=existence_loss(outputs.existence_p_BP2, targets_BP, positive_weight),
        existence_a=existence_loss(outputs.existence_a_BA2, targets_BA, positive_weight),
        prototype_p=prototype_loss(outputs.prototype_p_BPA, present_BPA, negatives_p_BPM, excluded_BPA),
        prototype_a=prototype_loss(outputs.prototype_a_BAP, present_BAP, negatives_a_BAM, excluded_BAP),
        relation=relation_loss(outputs.relation_BAP, labels_BAP),
    )
