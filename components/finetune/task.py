"""The training of a network under Lightning, whatever its task. Axes: N images."""

import copy
import math
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from components.core.params import Finetune

WARMUP_SHARE = 0.1

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Outputs and truth of a batch to the mean loss, and to how much it counts beside other batches."""


def learning_rate_share(step: int, steps: int, fidelity: str) -> float:
    """The learning rate of a step as a share of the peak.

    The published configuration's cosine runs from 1e-5 to 1e-5 and its warm-up starts there: one rate. Improved: a
    linear warm-up over a tenth of the steps, then a cosine to 0.
    """
    if fidelity == "paper":
        return 1.0
    warmup = max(1, round(steps * WARMUP_SHARE))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class Finetuning(lightning.LightningModule):
    """One step: forward, the task's loss, AdamW.

    Args:
        network: in training; what is learnt stays in it.
        loss: the task's.
        settings: the section `finetune` of params.yaml.
        steps: of the whole training, for the schedule.
    """

    def __init__(self, network: nn.Module, loss: Loss, settings: Finetune, steps: int) -> None:
        super().__init__()
        self.network, self.loss, self.settings, self.steps = network, loss, settings, steps
        self.validation: list[Tensor] = []
        self.validation_loss = float("nan")

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW without weight decay on biases and norms."""
        trained = list(self.network.parameters())
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=True)
        schedule = LambdaLR(optimiser, lambda step: learning_rate_share(step, self.steps, self.settings.fidelity))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        images_B1SS, truth = batch
        return self.loss(self.network(images_B1SS), truth)[0]

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keep the loss of the batch and how much it counts."""
        images_B1SS, truth = batch
        self.validation.append(torch.stack([part.double() for part in self.loss(self.network(images_B1SS), truth)]))

    def on_validation_epoch_end(self) -> None:
        """The mean loss over the validation split."""
        losses_N, counts_N = torch.stack(self.validation).unbind(1)
        self.validation.clear()
        self.validation_loss = float((losses_N * counts_N).sum() / counts_N.sum())


class EarlyStop(Callback):
    """Keeps the weights of the best look at the validation split, and stops after some looks without a gain.

    A look is an epoch of the trainer.

    Attributes:
        losses: the validation loss of every look, in order.
        best: the weights of the look with the smallest.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.losses: list[float] = []
        self.best: dict[str, Tensor] = {}

    @property
    def best_look(self) -> int:
        """Which look was the best, counted from 0."""
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    @property
    def is_over(self) -> bool:
        """Whether the patience is used up."""
        return bool(self.losses) and len(self.losses) - 1 - self.best_look >= self.patience

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A training that was killed after its last look does not begin another."""
        trainer.should_stop = self.is_over

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep, or count towards the stop.

        Raises:
            ValueError: the loss is not finite.
        """
        assert isinstance(pl_module, Finetuning)
        if not math.isfinite(pl_module.validation_loss):
            raise ValueError("the validation loss is not finite: lower finetune.learning_rate")
        self.losses.append(pl_module.validation_loss)
        if self.best_look == len(self.losses) - 1:
            self.best = copy.deepcopy(pl_module.network.state_dict())
        trainer.should_stop = self.is_over

    def state_dict(self) -> dict[str, Any]:
        """The looks so far, and the best weights: they belong to the state of an unfinished training."""
        return {"losses": self.losses, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after them."""
        self.losses, self.best = state_dict["losses"], state_dict["best"]
