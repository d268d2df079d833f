"""From memory-mapped shards to batches. Every draw is a function of (seed, epoch, image): no worker has a state."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from components.core.model import mends_of
from components.core.params import Pretrain
from components.core.records.resize import resized
from components.core.workers import worker_count
from components.pretrain.augmentation import draw
from components.pretrain.examples import Examples
from components.pretrain.sides import swap_sides

Example = tuple[Tensor, Tensor]


class TrainingImages(Dataset[Example]):
    """Varied images uint8 [1, S, S] with their labels int8 [A, P]; a key is (epoch, image)."""

    def __init__(self, examples: Examples, settings: Pretrain) -> None:
        self.examples, self.settings = examples, settings
        self.swaps_sides = mends_of(settings.objective).swapped_sides

    def __getitem__(self, key: tuple[int, int]) -> Example:
        epoch, index = key
        split = self.examples.train
        variation = draw(self.settings.augmentation, np.random.default_rng((self.settings.seed, epoch, index)))
        image = variation.apply(self.examples.shards[split.places[index]], self.settings.image_size)
        labels_AP = self.examples.labels[split.studies[index]]
        if variation.flip and self.swaps_sides:
            labels_AP = swap_sides(labels_AP)
        return torch.from_numpy(image).unsqueeze(0), torch.from_numpy(labels_AP)


class ValidationImages(Dataset[Example]):
    """Images of the validation split as they are, with their labels."""

    def __init__(self, examples: Examples, settings: Pretrain) -> None:
        self.examples, self.settings = examples, settings

    def __len__(self) -> int:
        return len(self.examples.validate)

    def __getitem__(self, index: int) -> Example:
        split = self.examples.validate
        image = resized(self.examples.shards[split.places[index]], self.settings.image_size)
        return torch.from_numpy(image.copy()).unsqueeze(0), torch.from_numpy(self.examples.labels[split.studies[index]])


class Order(Sampler[list[tuple[int, int]]]):
    """Batches of an epoch's own random order. What does not fill the last batch is left for other epochs."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.batch, self.seed = count, min(batch, count), seed
        self.epoch = 0

    @property
    def sampler(self) -> "Order":
        """Where Lightning looks for `set_epoch` of an order that makes whole batches."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        for start in range(0, len(self) * self.batch, self.batch):
            yield [(self.epoch, int(index)) for index in order[start : start + self.batch]]


def loaders(examples: Examples, settings: Pretrain, device: torch.device) -> tuple[DataLoader, DataLoader]:
    """The loaders of training and of validation.

    On a CPU the model needs every core and the input next to nothing (5,000 images a second and core): it is read in
    the training process. Workers feed a GPU.
    """
    cv2.setNumThreads(0)
    on_gpu = device.type == "cuda"
    workers = worker_count() if on_gpu else 0
    order = Order(len(examples.train), settings.batch, settings.seed)
    shared: dict[str, Any] = {"num_workers": workers, "pin_memory": on_gpu, "persistent_workers": workers > 0}
    return (
        DataLoader(TrainingImages(examples, settings), batch_sampler=order, **shared),
        DataLoader(ValidationImages(examples, settings), batch_size=settings.batch, **shared),
    )
