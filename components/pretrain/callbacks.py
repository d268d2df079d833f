"""What happens beside the training: its history, its state on disk, its progress in lines."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint

from components.core.tracking import StageRun
from components.pretrain.task import Pretraining

EVERY = 10  # steps between two looks at the losses: each look waits for the device


class History(Callback):
    """The mean losses of every ten steps, and the validation figure of the epochs that have one.

    Attributes:
        rows: a dictionary a row, in order; it is part of the state, so that a resumed run has the whole history.
    """

    def __init__(self, tracked: StageRun) -> None:
        self.tracked = tracked
        self.rows: list[dict[str, float]] = []
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add up on the device; look every ten steps, and at the end of an epoch."""
        assert isinstance(outputs, Mapping)
        for name, term in outputs.items():
            self.sums[name] = self.sums[name] + term.detach() if name in self.sums else term.detach().clone()
        self.count += 1
        if trainer.global_step % EVERY == 0 or batch_idx + 1 == trainer.num_training_batches:
            self._look(trainer)

    def _look(self, trainer: lightning.Trainer) -> None:
        names = list(self.sums)
        means = (torch.stack([self.sums[name].double() for name in names]) / self.count).tolist()
        self.sums, self.count = {}, 0
        row = dict(zip(names, means, strict=True))
        if not all(map(torch.isfinite, torch.tensor(means))):
            raise ValueError(
                f"the loss is not finite at step {trainer.global_step} ({row}): lower pretrain.learning_rate or set "
                "pretrain.precision to 32-true"
            )
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        self._add(trainer, row)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the validation figure, where there is one."""
        assert isinstance(pl_module, Pretraining)
        if pl_module.macro_auroc is not None:
            self._add(trainer, {"validation_auroc": pl_module.macro_auroc})

    def _add(self, trainer: lightning.Trainer, row: dict[str, float]) -> None:
        self.rows.append({"step": trainer.global_step, "epoch": trainer.current_epoch, **row})
        self.tracked.log_metrics(row, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after them."""
        self.rows = state_dict["rows"]


class SaveState(Checkpoint):
    """Writes the state after every epoch; being a `Checkpoint`, it comes after the other callbacks."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Everything that the next epoch depends on."""
        trainer.save_checkpoint(self.path)


class Lines(Callback):
    """A line an epoch with rate and time left, where stderr is no terminal that could show a progress bar."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.begun = self.first_epoch = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self.begun, self.first_epoch = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say how far it is."""
        assert isinstance(pl_module, Pretraining)
        assert trainer.max_epochs is not None
        done = trainer.current_epoch + 1
        seconds = (time.monotonic() - self.begun) / (done - self.first_epoch)
        loss = [row["loss"] for row in self.history.rows if "loss" in row][-1]
        looked = done % (trainer.check_val_every_n_epoch or 1) == 0
        figure = pl_module.macro_auroc if looked else None
        print(
            f"epoch {done}/{trainer.max_epochs}  step {trainer.global_step}  loss {loss:.3f}"
            + (f"  validation AUROC {figure:.3f}" if figure is not None else "")
            + f"  {seconds:.1f} s an epoch, {seconds * (trainer.max_epochs - done):.0f} s left",
            file=sys.stderr,
            flush=True,
        )
