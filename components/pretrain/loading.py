"""From memory-mapped shards to batches. Every draw is a function of (seed, epoch, image): no worker has a state."""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from components.core.augmentation import draw
from components.core.model import mends_of
from components.core.params import Pretrain
from components.core.records.resize import resized
from components.core.workers import WORKERS_VARIABLE, worker_count
from components.pretrain.examples import Examples
from components.pretrain.sides import swap_sides

Key = tuple[int, int]


class Batch(NamedTuple):
    """Images uint8 [B, 1, S, S] with their labels int8 [A, P], and how each is varied.

    With cv2 the images have been varied; with grid_sample they are as they lie in the shard, and the device varies
    them by the affine map, float32 [B, 2, 3], and by gain and offset of the grey levels, float32 [B, 2].
    """

    images_B1SS: Tensor
    labels_BAP: Tensor
    matrix_B23: Tensor
    levels_B2: Tensor


class TrainingImages(Dataset[Batch]):
    """One training image a key, which is (epoch, image)."""

    def __init__(self, examples: Examples, settings: Pretrain) -> None:
        self.examples, self.settings = examples, settings
        self.swaps_sides = mends_of(settings.objective).swapped_sides
        self.on_device = settings.augmentation.engine == "grid_sample"

    def __getitem__(self, key: Key) -> Batch:
        epoch, index = key
        split, size = self.examples.train, self.settings.image_size
        variation = draw(self.settings.augmentation, np.random.default_rng((self.settings.seed, epoch, index)))
        source = self.examples.shards[split.places[index]]
        image = source.copy() if self.on_device else variation.apply(source, size)
        labels_AP = self.examples.labels[split.studies[index]]
        if variation.flip and self.swaps_sides:
            labels_AP = swap_sides(labels_AP)
        return Batch(
            torch.from_numpy(image).unsqueeze(0),
            torch.from_numpy(labels_AP),
            torch.from_numpy(variation.matrix(source.shape[0], size)).float(),
            torch.tensor([variation.gain, variation.offset]),
        )


class ValidationImages(Dataset[tuple[Tensor, Tensor]]):
    """Images of the validation split as they are, with their labels."""

    def __init__(self, examples: Examples, settings: Pretrain) -> None:
        self.examples, self.settings = examples, settings

    def __len__(self) -> int:
        return len(self.examples.validate)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        split = self.examples.validate
        image = resized(self.examples.shards[split.places[index]], self.settings.image_size)
        return torch.from_numpy(image.copy()).unsqueeze(0), torch.from_numpy(self.examples.labels[split.studies[index]])


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(count)


class Order(Sampler[list[Key]]):
    """The batches of a training from a step on, as one rank sees them: an epoch has an order of its own.

    The step's images are divided into parts, whose gradients are added up, and each part among the ranks, so that a
    step has the same images however many share the work. What does not fill the last batch of an epoch is left for
    other epochs.

    Args:
        count: images of the training split.
        batch: images a step; of fewer images all are taken.
        seed: of the orders.
        epochs: how many.
        parts: a step is divided into.
        rank, ranks: which of how many processes this is.

    Raises:
        ValueError: a step cannot be divided evenly.
    """

    def __init__(
        self, count: int, batch: int, seed: int, epochs: int = 1, parts: int = 1, rank: int = 0, ranks: int = 1
    ) -> None:
        if batch % (parts * ranks):
            raise ValueError(
                f"pretrain.batch is {batch}: it must be a multiple of pretrain.accumulate x devices = {parts * ranks}"
            )
        if count < parts * ranks:
            raise ValueError(f"{count} training images are too few for pretrain.accumulate x devices = {parts * ranks}")
        self.count, self.seed, self.epochs, self.parts, self.rank, self.ranks = count, seed, epochs, parts, rank, ranks
        self.batch = min(batch, count - count % (parts * ranks))
        self.first = 0

    @property
    def steps_an_epoch(self) -> int:
        """Steps of one pass."""
        return self.count // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_an_epoch * self.epochs

    def keys(self, step: int) -> list[Key]:
        """The images of a step, of all parts and ranks."""
        epoch, place = divmod(step, self.steps_an_epoch)
        order = _permutation(self.seed, epoch, self.count)
        return [(epoch, int(index)) for index in order[place * self.batch : (place + 1) * self.batch]]

    def __len__(self) -> int:
        return (self.steps - self.first) * self.parts

    def __iter__(self) -> Iterator[list[Key]]:
        share = self.batch // (self.parts * self.ranks)
        for step in range(self.first, self.steps):
            keys = self.keys(step)
            for part in range(self.parts):
                start = (part * self.ranks + self.rank) * share
                yield keys[start : start + share]


def shared_out(count: int, rank: int, ranks: int) -> list[int]:
    """One rank's share of a split: every `ranks`-th image; the last is repeated so that all shares are as long."""
    return [min(index, count - 1) for index in range(rank, -(-count // ranks) * ranks, ranks)]


def loaders(
    examples: Examples, settings: Pretrain, device: torch.device, order: Order
) -> tuple[DataLoader, DataLoader]:
    """The loaders of training and of validation.

    On a CPU the model needs every core and the input next to nothing (5,000 images a second and core): it is read in
    the training process, unless MEDSLIP_WORKERS says otherwise. Workers feed a GPU.
    """
    cv2.setNumThreads(0)
    on_gpu = device.type == "cuda"
    workers = worker_count() if on_gpu or os.environ.get(WORKERS_VARIABLE) else 0
    shared: dict[str, Any] = {"num_workers": workers, "pin_memory": on_gpu, "persistent_workers": workers > 0}
    share = shared_out(len(examples.validate), order.rank, order.ranks)
    return (
        DataLoader(TrainingImages(examples, settings), batch_sampler=order, **shared),
        DataLoader(
            ValidationImages(examples, settings), sampler=share, batch_size=order.batch // order.parts // order.ranks,
            **shared,
        ),
    )  # fmt: skip
