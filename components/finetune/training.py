"""Training one network: looks at the validation split, the state on disk, progress in lines."""

import json
import logging
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from components.core import tracking
from components.core.checkpoints import StateFile
from components.core.devices import device
from components.core.params import Finetune
from components.core.records.shards import ImageShards
from components.core.records.whole import whole_file
from components.core.tensors import write_tensors
from components.core.trouble import TryAgain
from components.finetune.examples import Labelled
from components.finetune.loading import LabelledImages, ReadingOrder, TrainingOrder, loader
from components.finetune.task import EarlyStop, Finetuning, Loss

Curve = list[tuple[int, dict[str, float]]]  # a training step, and the losses at the look after it


@dataclass(frozen=True)
class Fit:
    """A trained network: the weights of its best look at the validation split, and how it came to them."""

    network: nn.Module
    steps: int
    best_step: int
    validation_losses: tuple[float, ...]


@dataclass(frozen=True)
class Schooling:
    """What every fit of a task shares.

    Attributes:
        validation: the images that are looked at.
        side: of the images that enter the network, in pixels.
        loss: the task's.
        steps_a_look: training steps between two looks.
        state: the folder where unfinished work is kept.
        told: holds something when the process is to stop (see `core.stopping`).
    """

    validation: Labelled
    shards: ImageShards
    side: int
    loss: Loss
    steps_a_look: int
    settings: Finetune
    state: Path
    told: list[int]

    def fit(self, name: str, network: nn.Module, train: Labelled) -> Fit:
        """Train for `epochs` looks at most and go back to the best; what an earlier try has done is not done again.

        Args:
            name: of the fit, unique in the task.
            network: the start; it is trained in place.
            train: the images that are learnt from.

        Raises:
            TryAgain: the process was told to stop; the work up to the last look is kept.
            ValueError: what an earlier try has left is corrupt.
        """
        finished = self.state / f"{name}.finished"
        again = finished.is_file()
        if not again:
            try:
                if self.told:  # between two fits; within one Lightning looks after every step
                    raise SIGTERMException
                _write_finished(finished, *self._train(name, network, train))
            except SIGTERMException:
                raise TryAgain("told to stop; the same command goes on from the last look") from None
            (self.state / f"{name}.state").unlink(missing_ok=True)
        best, curve = _read_finished(finished)
        if again:
            log_curve(name, curve)
        network.load_state_dict(best)
        losses = tuple(figures["validation_loss"] for _, figures in curve)
        best_look = min(range(len(losses)), key=losses.__getitem__)
        return Fit(network.eval(), len(losses) * self.steps_a_look, (best_look + 1) * self.steps_a_look, losses)

    def _train(self, name: str, network: nn.Module, train: Labelled) -> tuple[dict[str, Tensor], Curve]:
        settings, state = self.settings, self.state / f"{name}.state"
        task = Finetuning(network, self.loss, settings, settings.epochs * self.steps_a_look)
        stop = EarlyStop(settings.patience)
        looks = Looks(name, stop)
        trainer = _trainer(settings, [stop, looks, SaveState(state)], state.parent)
        trainer.fit(
            task,
            loader(
                LabelledImages(train, self.shards, self.side, settings),
                TrainingOrder(len(train), settings.batch, self.steps_a_look, settings.seed),
            ),
            loader(
                LabelledImages(self.validation, self.shards, self.side, settings),
                ReadingOrder(len(self.validation), settings.batch),
            ),
            ckpt_path=state if state.is_file() else None,
        )
        return stop.best, looks.curve


def _trainer(settings: Finetune, callbacks: list[Callback], folder: Path) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (r".*LeafSpec.* is deprecated", r".*does not have many workers"):
        warnings.filterwarnings("ignore", message=message)
    return Trainer(
        accelerator="gpu" if device().type == "cuda" else "cpu",
        devices=1,
        precision=settings.precision,
        max_epochs=settings.epochs,
        num_sanity_val_steps=0,
        plugins=[StateFile()],
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=True,
        logger=False,
        default_root_dir=folder,
    )


class SaveState(Checkpoint):
    """Writes the state after every look; being a `Checkpoint`, it comes after the other callbacks."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Everything that the next look depends on."""
        trainer.save_checkpoint(self.path)


def log_curve(name: str, curve: Curve) -> None:
    """Log the losses of a fit as metrics of the stage's run."""
    tracking.active().log_history(
        [(step, {f"{name}.{key}": value for key, value in figures.items()}) for step, figures in curve]
    )


class Looks(Callback):
    """A line a look with the time left at most, and the losses as metrics of the stage's run."""

    def __init__(self, name: str, stop: EarlyStop) -> None:
        self.name, self.stop = name, stop
        self.losses: list[Tensor] = []
        self.curve: Curve = []
        self.began = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the looks of an earlier try, whose run in MLflow was another one."""
        log_curve(self.name, self.curve)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self.began = time.monotonic()
        self.losses = []

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Keep the loss, without a wait for the device."""
        assert isinstance(outputs, dict)
        self.losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say how far it is."""
        look, looks = len(self.stop.losses), trainer.max_epochs or 0
        loss = float(sum(self.losses)) / len(self.losses)
        figures = {"loss": loss, "validation_loss": self.stop.losses[-1]}
        step = trainer.global_step
        self.curve.append((step, figures))
        log_curve(self.name, self.curve[-1:])
        left = (time.monotonic() - self.began) * (looks - look)
        print(
            f"{self.name}  look {look}/{looks}  step {step}  loss {loss:.3f}  validation loss "
            f"{self.stop.losses[-1]:.3f}  {'stopped early' if trainer.should_stop else f'{left:.0f} s left at most'}",
            file=sys.stderr,
            flush=True,
        )

    def state_dict(self) -> dict[str, Any]:
        """The curve so far: it belongs to the state of an unfinished training."""
        return {"curve": self.curve}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after it."""
        self.curve = [(step, figures) for step, figures in state_dict["curve"]]


def _write_finished(path: Path, best: dict[str, Tensor], curve: Curve) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in best.items()}
    with whole_file(path) as temporary:
        write_tensors(tensors, temporary, {"curve": json.dumps(curve)})


def _read_finished(path: Path) -> tuple[dict[str, Tensor], Curve]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            return tensors, [(step, figures) for step, figures in json.loads(file.metadata()["curve"])]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is corrupt, remove it to train from this start again: {error}") from None
