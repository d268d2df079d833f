"""The classifier and its training under Lightning. Axes: B batch, C classes, H and W rows and columns of patches."""

import copy
import math
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from components.core.model.trunk import Trunk
from components.core.params import Finetune
from components.core.params import Trunk as TrunkSizes

WARMUP_SHARE = 0.1


class Classifier(nn.Module):
    """The image trunk, the mean over its patches, and one linear head.

    Args:
        trunk: pretrained or new; it becomes part of the classifier.
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


def new_classifier(sizes: TrunkSizes, classes: int, pretrained: Trunk | None, seed: int) -> Classifier:
    """A classifier whose head, and whose trunk where none is given, are a function of the seed.

    The two starts differ in nothing but the weights of the trunk.
    """
    torch.manual_seed(seed)
    classifier = Classifier(Trunk(sizes), classes)
    if pretrained is not None:
        classifier.trunk.load_state_dict(pretrained.state_dict())
    return classifier


def masked_loss(logits_BC: Tensor, truth_BC: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over labels that are 0 or 1; 0 where there is none."""
    known_BC = (truth_BC >= 0).float()
    losses_BC = functional.binary_cross_entropy_with_logits(
        logits_BC.float(), truth_BC.clamp(min=0).float(), reduction="none"
    )
    return (losses_BC * known_BC).sum() / known_BC.sum().clamp(min=1)


class Finetuning(lightning.LightningModule):
    """One step: forward, masked cross-entropy, AdamW with a short warm-up and a cosine."""

    def __init__(self, classifier: Classifier, settings: Finetune, steps: int) -> None:
        super().__init__()
        self.classifier, self.settings, self.steps = classifier, settings, steps
        self.validation: list[tuple[Tensor, Tensor]] = []
        self.validation_loss = float("nan")

    def _share(self, step: int) -> float:
        warmup = max(1, round(self.steps * WARMUP_SHARE))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW without weight decay on biases and norms."""
        trained = list(self.classifier.parameters())
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=self.settings.learning_rate)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": LambdaLR(optimiser, self._share), "interval": "step"},
        }

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        images_B1SS, truth_BC = batch
        return masked_loss(self.classifier(images_B1SS), truth_BC)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keep logits and labels of every image."""
        images_B1SS, truth_BC = batch
        self.validation.append((self.classifier(images_B1SS), truth_BC))

    def on_validation_epoch_end(self) -> None:
        """The loss over the whole validation split."""
        logits_NC, truth_NC = (torch.cat(column) for column in zip(*self.validation, strict=True))
        self.validation.clear()
        self.validation_loss = float(masked_loss(logits_NC, truth_NC))


class EarlyStop(Callback):
    """Keeps the weights of the best look at the validation split, and stops after some looks without a gain.

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
            self.best = copy.deepcopy(pl_module.classifier.state_dict())
        trainer.should_stop = len(self.losses) - 1 - self.best_look >= self.patience
