"""Batches of labelled images. Every draw is a function of the seed, the step and the place in the batch."""

from collections.abc import Iterator

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

Example = tuple[Tensor, Tensor]
Key = tuple[int, int]


def varied(image_SS: npt.NDArray[np.uint8], generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A mild variation: turned, shifted, scaled and with another contrast, each drawn evenly to both sides."""
    side = len(image_SS)
    turn, across, down, scale, contrast = generator.uniform(-1, 1, 5)
    matrix = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), turn * ROTATION_DEGREES, 1 + scale * SCALE)
    matrix[:, 2] += SHIFT * side * np.array([across, down])
    moved_SS = cv2.warpAffine(image_SS, matrix, (side, side), flags=cv2.INTER_LINEAR)
    gain = 1 + contrast * CONTRAST
    return cv2.convertScaleAbs(moved_SS, alpha=gain, beta=MIDDLE_GREY * (1 - gain)).astype(np.uint8, copy=False)


class LabelledImages(Dataset[Example]):
    """Images uint8 [1, S, S] with their labels int8 [C]; a key is (draw, image), draw -1 leaves the image as it is."""

    def __init__(self, labelled: Labelled, shards: ImageShards, side: int, seed: int) -> None:
        places = zip(labelled.images["shard"].tolist(), labelled.images["row"].tolist(), strict=True)
        self.places, self.truth_NC = list(places), labelled.truth_NC
        self.shards, self.side, self.seed = shards, side, seed

    def __getitem__(self, key: Key) -> Example:
        draw, index = key
        image_SS = resized(self.shards[self.places[index]], self.side)
        if draw >= 0:
            image_SS = varied(image_SS, np.random.default_rng((self.seed, draw)))
        return torch.from_numpy(image_SS.copy())[None], torch.from_numpy(self.truth_NC[index])


class TrainingOrder(Sampler[list[Key]]):
    """A fixed number of full batches: as many passes over the images as that takes, each in an order of its own."""

    def __init__(self, count: int, batch: int, steps: int, seed: int) -> None:
        self.count, self.batch, self.steps, self.seed = count, batch, steps, seed

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Key]]:
        needed = self.steps * self.batch
        passes = [
            np.random.default_rng((self.seed, number)).permutation(self.count)
            for number in range(-(-needed // self.count))
        ]
        keys = [(draw, int(index)) for draw, index in enumerate(np.concatenate(passes)[:needed])]
        return (keys[start : start + self.batch] for start in range(0, needed, self.batch))


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
