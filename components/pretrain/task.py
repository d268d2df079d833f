"""The training task: the model with its losses, its optimiser, its schedule. The model itself knows nothing of it."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from components.core.metrics.ranking import auroc
from components.core.model import VisionLanguageModel
from components.core.model.objective import terms_of
from components.core.params import Pretrain
from components.core.vocabulary import PATHOLOGIES, VISIBLE

MIN_CASES = 5  # positives, and negatives, that a pathology needs to enter the validation figure


def learning_rate_share(step: int, settings: Pretrain, steps: int) -> float:
    """The learning rate of a step as a share of the peak: linear warm-up, then a cosine down to the final rate."""
    warmup = min(settings.warmup_steps, steps // 2)
    if step < warmup:
        return (step + 1) / warmup
    final = settings.final_learning_rate / settings.learning_rate
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def auroc_by_pathology(truth_NP: np.ndarray, score_NP: np.ndarray) -> dict[str, float]:
    """The area under the ROC curve of every visible pathology with enough cases, against report truth."""
    areas = {}
    for index, name in enumerate(PATHOLOGIES):
        truth_N = truth_NP[:, index]
        if name in VISIBLE and min((truth_N == 1).sum(), (truth_N == 0).sum()) >= MIN_CASES:
            areas[name] = auroc(truth_N, score_NP[:, index].astype(np.float64))
    return areas


class Pretraining(nn.Module):
    """What one step computes: forward, and the losses of the model's form.

    Args:
        model: in training; what is learnt stays in it.
        settings: the section `pretrain` of params.yaml.
    """

    def __init__(self, model: VisionLanguageModel, settings: Pretrain) -> None:
        super().__init__()
        self.model = model
        self.settings = settings

    def forward(
        self, images_B1SS: Tensor, labels_BAP: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss, and each term detached, without a wait for the device.

        Args:
            images_B1SS: grey levels 0 to 255.
            labels_BAP: int8, -1, 0, 1 or 2.
            generator: where negatives are drawn from.
        """
        objective = self.settings.objective
        losses = terms_of(self.model, self.model(images_B1SS), labels_BAP, objective, generator)
        total = losses.total(objective.alpha, objective.beta)
        return total, {"loss": total.detach(), **{name: term.detach() for name, term in vars(losses).items()}}


def optimiser_of(task: nn.Module, settings: Pretrain) -> torch.optim.AdamW:
    """AdamW without weight decay on biases, norms and scales, in one pass over each tensor where that can be had.

    Where gradients are scaled, as in float16, the fused form would scale them back itself, and only after the clipping.
    """
    trained = list(task.parameters())
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=settings.precision != "16-mixed")


class MovingAverage:
    """The exponential moving average of a model's weights; what is no weight is the model's own.

    Args:
        model: whose weights are averaged.
        decay: share of the average that a step keeps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Move by a step towards the model's weights."""
        weights = [weight.detach() for weight in self.model.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), weights, 1 - self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and the averages; once more undoes it."""
        for name, weight in self.model.named_parameters():
            kept = weight.detach().clone()
            weight.copy_(self.weights[name])
            self.weights[name].copy_(kept)
