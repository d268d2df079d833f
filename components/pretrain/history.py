"""What is seen of a training while it runs: its losses, rates and pictures, in MLflow and on stderr."""

import resource
import sys
import time
from typing import Any

import torch
from torch import Tensor, distributed
from tqdm import tqdm

from components.core.model.losses import ranks
from components.core.records.whole import whole_file
from components.core.state import state_folder
from components.core.tensors import write_tensors
from components.core.tracking import StageRun
from components.pretrain.loading import Order, TrainingImages

EVERY = 10  # steps between two looks at the losses: each look waits for the device
NOT_FINITE = "not_finite.safetensors"


def memory_bytes(device: torch.device) -> int:
    """The most memory that this process has had: the GPU's where it computes there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class History:
    """The mean losses of every ten steps, and the validation figure of the epochs that have one.

    Attributes:
        rows: a dictionary a row, in order; part of the state, so that a resumed run has the whole history.
        waiting: the terms of the steps since the last row, on the device.
    """

    def __init__(self, tracked: StageRun, order: Order, data: TrainingImages, device: torch.device) -> None:
        self.tracked, self.order, self.data, self.device = tracked, order, data, device
        self.rows: list[dict[str, float]] = []
        self.names: list[str] = []
        self.waiting: list[Tensor] = []
        self.clock = (order.first, time.monotonic())

    def add(self, step: int, terms: dict[str, Tensor], learning_rate: float) -> None:
        """Note a finished step; look every ten steps, and at the end of an epoch.

        Args:
            step: how many are finished.
            terms: the losses and the gradient's norm, each a scalar on the device.
            learning_rate: of the step.

        Raises:
            ValueError: a term is not finite.
        """
        self.names = list(terms)
        self.waiting.append(torch.stack([term.detach().double() for term in terms.values()]))
        if step % EVERY == 0 or step % self.order.steps_an_epoch == 0:
            means = self.checked(step).mean(0).tolist()
            self.waiting = []
            self._note(step, {**dict(zip(self.names, means, strict=True)), "learning_rate": learning_rate})
            self._note_rate(step)

    def checked(self, step: int) -> Tensor:
        """The terms of the waiting steps [steps, terms], mean over ranks, on the CPU.

        Raises:
            ValueError: a term is not finite; the batch of the first such step has been saved.
        """
        if not self.waiting:
            return torch.empty(0, len(self.names))
        terms_NT = torch.stack(self.waiting)
        if ranks()[1] > 1:
            distributed.all_reduce(terms_NT)
            terms_NT /= ranks()[1]
        terms_NT = terms_NT.cpu()
        broken_N = ~terms_NT.isfinite().all(1)
        if broken_N.any():
            self._stop(step - len(terms_NT) + int(broken_N.int().argmax()), terms_NT[int(broken_N.int().argmax())])
        return terms_NT

    def _stop(self, place: int, terms_T: Tensor) -> None:
        keys = self.order.keys(place)
        images = [self.data.examples.train.images[index] for _, index in keys]
        path = state_folder("pretrain") / NOT_FINITE
        if ranks()[0] == 0:
            examples = [self.data[key] for key in keys]
            batch = {"images_B1SS": torch.stack([example.images_B1SS for example in examples]),
                     "labels_BAP": torch.stack([example.labels_BAP for example in examples])}  # fmt: skip
            with whole_file(path) as temporary:
                write_tensors(batch, temporary, {"step": str(place + 1), "images": " ".join(images)})
        values = ", ".join(f"{name} {value:g}" for name, value in zip(self.names, terms_T.tolist(), strict=True))
        raise ValueError(
            f"the loss is not finite at step {place + 1} ({values}), whose images are {', '.join(images)}; the batch "
            f"is kept in {path}: lower pretrain.learning_rate or set pretrain.precision to 32-true"
        )

    def _note(self, step: int, row: dict[str, float]) -> None:
        epoch = max(0, step - 1) // self.order.steps_an_epoch
        self.rows.append({"step": step, "epoch": epoch, **row})
        self.tracked.log_metrics(row, step=step)

    def _note_rate(self, step: int) -> None:
        """The rate differs from run to run: it goes to MLflow, and is no part of the result."""
        (before, then), now = self.clock, time.monotonic()
        self.clock = (step, now)
        rate = (step - before) * self.order.batch / max(now - then, 1e-9)
        self.tracked.log_metrics({"images_per_second": rate, "memory_bytes": memory_bytes(self.device)}, step=step)

    def look(self, step: int, macro_auroc: float | None) -> None:
        """Note the validation figure, where there is one; its time does not count in the rate."""
        if macro_auroc is not None:
            self._note(step, {"validation_auroc": macro_auroc})
        self.clock = (step, time.monotonic())

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and what will go into the next."""
        return {"rows": self.rows, "names": self.names, "waiting": list(self.waiting)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after them; the run of this try in MLflow gets the curve so far."""
        self.rows, self.names = state["rows"], state["names"]
        self.tracked.log_history(
            [(int(row["step"]), {name: row[name] for name in row.keys() - {"step", "epoch"}}) for row in self.rows]
        )
        self.waiting = [terms.to(self.device) for terms in state["waiting"]]


class Progress:
    """Rate and time left: a bar on a terminal, else a line an epoch."""

    def __init__(self, history: History) -> None:
        self.history, self.order = history, history.order
        self.shown = ranks()[0] == 0
        self.begun = time.monotonic()
        bar = self.shown and sys.stderr.isatty()
        self.bar = tqdm(total=self.order.steps, initial=self.order.first, unit="step") if bar else None

    def step(self, step: int, macro_auroc: float | None) -> None:
        """Say how far it is."""
        if self.bar is not None:
            self.bar.update()
            losses = [row["loss"] for row in self.history.rows[-2:] if "loss" in row]
            if losses and step % EVERY == 0:
                self.bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
        elif self.shown and step % self.order.steps_an_epoch == 0:
            self._line(step, macro_auroc)

    def _line(self, step: int, macro_auroc: float | None) -> None:
        seconds = (time.monotonic() - self.begun) / (step - self.order.first)
        loss = [row["loss"] for row in self.history.rows if "loss" in row][-1]
        print(
            f"epoch {step // self.order.steps_an_epoch}/{self.order.epochs}  step {step}/{self.order.steps}  "
            f"loss {loss:.3f}"
            + (f"  validation AUROC {macro_auroc:.3f}" if macro_auroc is not None else "")
            + f"  {self.order.batch / seconds:.0f} images/s, {seconds * (self.order.steps - step):.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Leave the terminal's line."""
        if self.bar is not None:
            self.bar.close()
