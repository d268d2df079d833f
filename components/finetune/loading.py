"""Batches of labelled images. Every draw is a function of the seed and the number of the draw.

Axes: S pixels of a side, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from components.core.records.resize import resized
from components.core.records.shards import ImageShards
from components.finetune.examples import Labelled

ROTATION_DEGREES, SHIFT, SCALE, CONTRAST = 5.0, 0.04, 0.08, 0.15
MIDDLE_GREY = 127.5
HALF_COVERED = 128

Pixels = npt.NDArray[np.uint8]
Example = tuple[Tensor, Tensor]
Key = tuple[int, int]


@dataclass(frozen=True)
class Variation:
    """A mild variation: turned, shifted, scaled and with another contrast."""

    degrees: float
    across: float
    down: float
    scale: float
    gain: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> "Variation":
        """Each part drawn evenly to both sides."""
        turn, across, down, scale, contrast = generator.uniform(-1, 1, 5)
        return cls(turn * ROTATION_DEGREES, across * SHIFT, down * SHIFT, 1 + scale * SCALE, 1 + contrast * CONTRAST)

    def moved(self, image_SS: Pixels) -> Pixels:
        """The image, or a mask of 0 and 255, in its new place."""
        side = len(image_SS)
        matrix = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), self.degrees, self.scale)
        matrix[:, 2] += side * np.array([self.across, self.down])
        return np.asarray(cv2.warpAffine(image_SS, matrix, (side, side), flags=cv2.INTER_LINEAR), np.uint8)

    def varied(self, image_SS: Pixels) -> Pixels:
        """The image in its new place and contrast."""
        shifted = MIDDLE_GREY * (1 - self.gain)
        return np.asarray(cv2.convertScaleAbs(self.moved(image_SS), alpha=self.gain, beta=shifted), np.uint8)


class LabelledImages(Dataset[Example]):
    """Images uint8 [1, S, S] with their truth; a key is (draw, image), draw -1 leaves the image as it is.

    The truth is int8 [C], or, of a segmentation, a mask [1, S, S] of 0 and 1.
    """

    def __init__(self, labelled: Labelled, shards: ImageShards, side: int, seed: int) -> None:
        places = zip(labelled.images["shard"].tolist(), labelled.images["row"].tolist(), strict=True)
        self.places, self.labelled = list(places), labelled
        self.shards, self.side, self.seed = shards, side, seed

    def __getitem__(self, key: Key) -> Example:
        draw, index = key
        variation = Variation.draw(np.random.default_rng((self.seed, draw))) if draw >= 0 else None
        image_SS = resized(self.shards[self.places[index]], self.side)
        image_SS = variation.varied(image_SS) if variation else image_SS.copy()
        return torch.from_numpy(image_SS)[None], self._truth(index, variation)

    def _truth(self, index: int, variation: Variation | None) -> Tensor:
        if not self.labelled.outlines:
            return torch.from_numpy(self.labelled.truth_NC[index])
        covered_SS = resized(255 * self.labelled.outlines[index].mask(), self.side)
        if variation:
            covered_SS = variation.moved(covered_SS)
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
