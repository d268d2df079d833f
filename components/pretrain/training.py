"""The training loop: any number of processes, from whichever step the state says, to the end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, distributed
from torch.utils.data import DataLoader

from components.core.augmentation import vary_on_device
from components.core.checkpoints import Checkpoints
from components.core.model.losses import existence_targets, ranks
from components.core.records.labels import NOT_MENTIONED, UNCERTAIN
from components.core.stopping import told_to_stop
from components.core.trouble import TryAgain
from components.core.workers import whole_number
from components.pretrain.grounding import log_overlay
from components.pretrain.history import EVERY, History, Progress
from components.pretrain.loading import Batch, Order
from components.pretrain.task import (
    MovingAverage,
    Pretraining,
    auroc_by_pathology,
    learning_rate_share,
    optimiser_of,
)

SAVE_VARIABLE, SAVE_STEPS = "MEDSLIP_SAVE_STEPS", 500


def seed_of(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class Training:
    """Everything that changes from step to step.

    Args:
        fabric: launched; it says where and how precisely is computed.
        task: what is trained.
        order: of the images; it begins after the steps that the state has.
        history: what has been seen.
        checkpoints: where the state is kept.
    """

    def __init__(
        self, fabric: Fabric, task: Pretraining, order: Order, history: History, checkpoints: Checkpoints
    ) -> None:
        self.fabric, self.task, self.order, self.history, self.checkpoints = fabric, task, order, history, checkpoints
        self.settings = task.settings
        task.to(fabric.device)
        if self.settings.compile:
            task.model.compile()
        self.optimiser = optimiser_of(task, self.settings)
        self.wrapped, self.wrapped_optimiser = fabric.setup(task, self.optimiser)
        self.average = MovingAverage(task.model, self.settings.ema) if self.settings.ema else None
        self.negatives = torch.Generator(fabric.device)
        self.auroc: dict[str, float] = {}
        self.saved = -1
        state = checkpoints.latest()
        if state is not None:
            try:
                self._load(state)
            except (KeyError, RuntimeError, ValueError) as error:
                raise ValueError(
                    f"{checkpoints.folder} holds the checkpoint of another model, remove it to start again: "
                    f"{' '.join(str(error).split())[:200]}"
                ) from None
        self._agree()

    @property
    def macro_auroc(self) -> float | None:
        """The mean of the pathologies' areas at the last look; None where no pathology has enough cases."""
        return float(np.mean(list(self.auroc.values()))) if self.auroc else None

    def _state(self, step: int) -> dict[str, Any]:
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        return {
            "step": step,
            "model": self.task.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.weights if self.average else {},
            "scaler": scaler.state_dict() if scaler else {},
            "history": self.history.state_dict(),
            "auroc": self.auroc,
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.order.first = self.saved = state["step"]
        self.task.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for parameter, moments in self.optimiser.state.items():
            for name, value in moments.items():
                if value.shape == parameter.shape:  # the fused step takes them for laid out alike
                    moments[name] = torch.empty_like(parameter).copy_(value)
        if self.average:
            for name, weight in self.average.weights.items():
                weight.copy_(state["average"][name])
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        if scaler and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
        self.history.load_state_dict(state["history"])
        self.auroc = state["auroc"]

    def _agree(self) -> None:
        """Ranks that begin at different steps have folders of their own: they would train on different images."""
        first = torch.tensor([float(self.order.first), -float(self.order.first)], device=self.fabric.device)
        if ranks()[1] > 1:
            distributed.all_reduce(first, distributed.ReduceOp.MAX)
        if first.sum() != 0:
            raise ValueError("the processes have different checkpoints: MEDSLIP_STATE_DIR must name one shared folder")

    def save(self, step: int, score: float | None = None) -> None:
        """Write a checkpoint, of losses that are finite; one rank does."""
        self.history.checked(step)
        if ranks()[0] == 0:
            self.checkpoints.save(step, self._state(step), score)
        self.saved = step

    def run(self, training: DataLoader, validation: DataLoader) -> None:
        """Train to the end; where there is no step to train, look at the model as it is.

        Raises:
            ValueError: the loss is not finite.
            TryAgain: TERM came; the state has been saved.
        """
        every, looks = whole_number(SAVE_VARIABLE, SAVE_STEPS), self.settings.validate_every * self.order.steps_an_epoch
        progress = Progress(self.history)
        batches = iter(training) if self.order.first < self.order.steps else iter(())
        with told_to_stop(signal.SIGTERM, signal.SIGINT) as told:
            for step in range(self.order.first + 1, self.order.steps + 1):
                terms, learning_rate = self.step(step - 1, batches)
                self.history.add(step, terms, learning_rate)
                looked = step % looks == 0 or step == self.order.steps
                if looked:
                    self.look(step, validation)
                if looked or step % every == 0:
                    self.save(step, self.macro_auroc if looked else None)
                progress.step(step, self.macro_auroc if looked else None)
                if self._stops(step, told):
                    progress.close()
                    self._stop(step, told)
        progress.close()
        if not self.order.steps:
            self.look(0, validation)

    def step(self, place: int, batches: Iterator[Batch]) -> tuple[dict[str, Tensor], float]:
        """One step of the optimiser: its terms, without a wait for the device, and its learning rate."""
        learning_rate = self.settings.learning_rate * learning_rate_share(place, self.settings, self.order.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.wrapped.train()
        parts: list[dict[str, Tensor]] = []
        for part in range(self.order.parts):
            batch = self._to_device(next(batches))
            # Dropout differs between ranks; the draws of negatives are made for all ranks, each takes its rows.
            torch.manual_seed(seed_of(self.settings.seed, place, part, self.order.rank))
            self.negatives.manual_seed(seed_of(self.settings.seed, place, part))
            last = part + 1 == self.order.parts
            with self.fabric.no_backward_sync(self.wrapped, enabled=not last):
                total, terms = self.wrapped(batch.images_B1SS, batch.labels_BAP, self.negatives)
                self.fabric.backward(total / self.order.parts)
            parts.append(terms)
        clip = self.settings.clip or float("inf")
        norm = self.fabric.clip_gradients(self.wrapped, self.wrapped_optimiser, max_norm=clip, error_if_nonfinite=False)
        self.wrapped_optimiser.step()
        self.wrapped_optimiser.zero_grad()
        if self.average:
            self.average.update()
        terms = {name: torch.stack([one[name] for one in parts]).mean(0) for name in parts[0]}
        return {**terms, "gradient_norm": torch.as_tensor(norm)}, learning_rate

    def _to_device(self, batch: Batch) -> Batch:
        batch = Batch(*(tensor.to(self.fabric.device, non_blocking=True) for tensor in batch))
        if self.settings.augmentation.engine == "grid_sample":
            images = vary_on_device(batch.images_B1SS, batch.matrix_B23, batch.levels_B2, self.settings.image_size)
            batch = batch._replace(images_B1SS=images)
        return batch

    def look(self, step: int, validation: DataLoader) -> None:
        """The figure of the whole validation split, every image once, with the weights that would be saved."""
        with self.averaged():
            truth_NP, score_NP = self._scores(validation)
            self.auroc = auroc_by_pathology(truth_NP.numpy(), score_NP.numpy())
            self.history.look(step, self.macro_auroc)
            if ranks()[0] == 0:
                log_overlay(self.task.model, self.history.data.examples, self.settings, self.history.tracked, step)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model in evaluation, with the averaged weights where there are such."""
        if self.average:
            self.average.swap()
        self.task.eval()
        try:
            yield
        finally:
            if self.average:
                self.average.swap()

    @torch.no_grad()
    def _scores(self, validation: DataLoader) -> tuple[Tensor, Tensor]:
        """Targets and probabilities [N, P] of the split, gathered from all ranks, each image once, on the CPU."""
        truths, scores = [], []
        for images_B1SS, labels_BAP in validation:
            labels_BAP = torch.where(labels_BAP == UNCERTAIN, NOT_MENTIONED, labels_BAP).to(self.fabric.device)
            with self.fabric.autocast():
                scores.append(self.task.model(images_B1SS.to(self.fabric.device)).presence_BP)
            truths.append(existence_targets(labels_BAP)[0])
        count = len(self.history.data.examples.validate)
        return self._gathered(torch.cat(truths), count), self._gathered(torch.cat(scores), count)

    def _gathered(self, values_NP: Tensor, count: int) -> Tensor:
        _, world = ranks()
        parts = [torch.empty_like(values_NP) for _ in range(world)] if world > 1 else [values_NP]
        if world > 1:
            distributed.all_gather(parts, values_NP.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)[:count].cpu()

    def _stops(self, step: int, told: list[int]) -> bool:
        """Whether any rank was told to stop; several ranks agree when the losses are looked at anyway."""
        if ranks()[1] == 1:
            return bool(told)
        if step % EVERY:
            return False
        any_told = torch.tensor(float(bool(told)), device=self.fabric.device)
        distributed.all_reduce(any_told)
        return bool(any_told.item())

    def _stop(self, step: int, told: list[int]) -> None:
        if self.saved != step:
            self.save(step)
        raised = KeyboardInterrupt if signal.SIGINT in told else TryAgain
        raise raised(f"told to stop after step {step} of {self.order.steps}; the same command goes on from there")
