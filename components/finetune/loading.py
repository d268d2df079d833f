"""Batches of labelled images. Every draw is a function of the seed and the number of the draw.

Axes: S pixels of a side, C classes.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from components.core.augmentation import Variation, draw
from components.core.params import Finetune
from components.core.records.resize import resized
from components.core.records.shards import ImageShards
from components.finetune.examples import Labelled

HALF_COVERED = 128

Example = tuple[Tensor, Tensor]
Key = tuple[int, int]


class LabelledImages(Dataset[Example]):
    """Images uint8 [1, S, S] with their truth; a key is (draw, image), draw -1 leaves the image as it is.

    The truth is int8 [C], or, of a segmentation, a mask [1, S, S] of 0 and 1, which goes where the image goes.
    """

    def __init__(self, labelled: Labelled, shards: ImageShards, side: int, settings: Finetune) -> None:
        places = zip(labelled.images["shard"].tolist(), labelled.images["row"].tolist(), strict=True)
        self.places, self.labelled = list(places), labelled
        self.shards, self.side, self.settings = shards, side, settings

    def __getitem__(self, key: Key) -> Example:
        number, index = key
        variation = self._variation(number) if number >= 0 else None
        image_SS = resized(self.shards[self.places[index]], self.side)
        image_SS = variation.apply(image_SS, self.side) if variation else image_SS.copy()
        return torch.from_numpy(image_SS)[None], self._truth(index, variation)

    def _variation(self, number: int) -> Variation:
        return draw(self.settings.augmentation, np.random.default_rng((self.settings.seed, number)))

    def _truth(self, index: int, variation: Variation | None) -> Tensor:
        if not self.labelled.outlines:
            return torch.from_numpy(self.labelled.truth_NC[index])
        covered_SS = resized(255 * self.labelled.outlines[index].mask(), self.side)
        if variation:
            covered_SS = variation.moved(covered_SS, self.side)
        return torch.from_numpy((covered_SS >= HALF_COVERED).astype(np.int8))[None]


class TrainingOrder(Sampler[list[Key]]):
    """A fixed number of full batches an epoch: as many passes over the images as that takes, each in its own order."""

    def __init__(self, count: int, batch: int, steps: int, seed: int) -> None:
        self.count, self.batch, self.steps, self.seed = count, batch, steps, seed
        self.epoch = 0

    @property
    def sampler(self) -> "TrainingOrder":
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Key]]:
        draws = self.steps * self.batch
        first = self.epoch * draws
        passes = range(first // self.count, (first + draws - 1) // self.count + 1)
        images = np.concatenate([np.random.default_rng((self.seed, one)).permutation(self.count) for one in passes])
        skipped = first - passes.start * self.count  # those of the first pass that the epoch before had
        keys = [(first + number, int(images[skipped + number])) for number in range(draws)]
        # Drawn when the first batch is asked for: a resumed trainer makes the iterator before it tells the epoch.
        for start in range(0, draws, self.batch):
            yield keys[start : start + self.batch]


class ReadingOrder(Sampler[list[Key]]):
    """Every image once, in order, unvaried."""

    def __init__(self, count: int, batch: int) -> None:
        self.count, self.batch = count, batch

    def __len__(self) -> int:
        return -(-self.count // self.batch)

    def __iter__(self) -> Iterator[list[Key]]:
        keys = [(-1, index) for index in range(self.count)]
        return (keys[start : start + self.batch] for start in range(0, self.count, self.batch))


def loader(images: LabelledImages, order: Sampler[list[Key]]) -> DataLoader:
    """A loader in this process: reading a shard costs next to nothing beside the model."""
    cv2.setNumThreads(0)
    return DataLoader(images, batch_sampler=order)
