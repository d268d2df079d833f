"""The training task: the model under Lightning. The model itself knows nothing of it."""

import math
from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from components.core.metrics.ranking import auroc
from components.core.model import VisionLanguageModel
from components.core.model.losses import existence_targets
from components.core.model.objective import terms_of
from components.core.params import Pretrain
from components.core.records.labels import NOT_MENTIONED, UNCERTAIN
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


class Pretraining(lightning.LightningModule):
    """One step: forward, the losses of the form, AdamW.

    Args:
        model: in training; what is learnt stays in it.
        settings: the section `pretrain` of params.yaml.
        steps: of the whole training, for the schedule.
    """

    def __init__(self, model: VisionLanguageModel, settings: Pretrain, steps: int) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.steps = steps
        self.validation: list[tuple[Tensor, Tensor]] = []
        self.auroc: dict[str, float] = {}

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW without weight decay on biases, norms and scales; the schedule goes by steps."""
        trained = list(self.model.parameters())
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=self.settings.learning_rate)
        schedule = LambdaLR(optimiser, lambda step: learning_rate_share(step, self.settings, self.steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Dropout and negatives are a function of (seed, step): a resumed run draws what it would have drawn."""
        torch.manual_seed(int(np.random.SeedSequence((self.settings.seed, self.global_step)).generate_state(1)[0]))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Mapping[str, Tensor]:
        """The total loss, and each term detached, without a wait for the device."""
        images_B1SS, labels_BAP = batch
        objective = self.settings.objective
        losses = terms_of(self.model, self.model(images_B1SS), labels_BAP, objective)
        total = losses.total(objective.alpha, objective.beta)
        return {"loss": total, **{name: term.detach() for name, term in vars(losses).items()}}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keep the targets and the probabilities of every image."""
        images_B1SS, labels_BAP = batch
        known_BAP = torch.where(labels_BAP == UNCERTAIN, NOT_MENTIONED, labels_BAP)
        self.validation.append((existence_targets(known_BAP)[0], self.model(images_B1SS).presence_BP))

    def on_validation_epoch_end(self) -> None:
        """The figure of the whole validation split."""
        truth_NP = torch.cat([truth for truth, _ in self.validation]).cpu().numpy()
        score_NP = torch.cat([score for _, score in self.validation]).cpu().numpy()
        self.validation.clear()
        self.auroc = auroc_by_pathology(truth_NP, score_NP)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The last look belongs to the state: a run that was stopped after its last epoch has its figures."""
        checkpoint["auroc"] = self.auroc

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with them."""
        self.auroc = checkpoint["auroc"]

    @property
    def macro_auroc(self) -> float | None:
        """The mean of the pathologies' areas at the last look; None where no pathology has enough cases."""
        return float(np.mean(list(self.auroc.values()))) if self.auroc else None
