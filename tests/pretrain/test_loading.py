"""Every draw is a function of (seed, epoch, image); a flip carries the labels."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from components.core import paths
from components.core.vocabulary import ANATOMY_INDEX
from components.pretrain.examples import Examples, read_examples
from components.pretrain.loading import Order, TrainingImages, loaders
from tests.pretrain.conftest import settings

LEFT, RIGHT = ANATOMY_INDEX["left_lung_unspec"], ANATOMY_INDEX["right_lung_unspec"]
ALWAYS_FLIPPED = {"min_area": 1.0, "flip": 1.0, "rotation_degrees": 0.0, "contrast": 0.0}


def examples() -> Examples:
    return read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", "ignore")


def test_an_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    order = Order(count=20, batch=5, seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        order.set_epoch(epoch)
        keys = [key for batch in order for key in batch]
        assert {key[0] for key in keys} == {epoch}
        epochs.append([index for _, index in keys])
    assert sorted(epochs[0]) == list(range(20))
    assert epochs[0] != epochs[1]
    assert epochs[0] == epochs[2]


def test_the_trainer_tells_the_order_its_epoch() -> None:
    seen: list[tuple[int, ...]] = []

    class Watch(LightningModule):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> None:
            seen.append(tuple(batch.flatten().tolist()))

        def configure_optimizers(self) -> None:
            return None

    keys: Any = {(epoch, index): (epoch, index) for epoch in range(2) for index in range(4)}
    trainer = Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(Watch(), DataLoader(keys, batch_sampler=Order(count=4, batch=4, seed=1), collate_fn=torch.tensor))
    assert [values[0::2] for values in seen] == [(0, 0, 0, 0), (1, 1, 1, 1)]


def test_batches_are_full_even_of_few_images() -> None:
    assert [len(batch) for batch in Order(count=20, batch=8, seed=1)] == [8, 8]
    assert [len(batch) for batch in Order(count=3, batch=8, seed=1)] == [3]


def test_the_same_key_gives_the_same_image_and_another_epoch_another(workspace: Path, repository: Path) -> None:
    images = TrainingImages(examples(), settings(repository).pretrain)
    for one, other in zip(images[2, 5], images[2, 5], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(images[2, 5][0], images[3, 5][0])


def test_a_flip_swaps_the_sides_of_the_labels_unless_the_paper_is_followed(workspace: Path, repository: Path) -> None:
    plain = examples()
    changes: list[tuple[dict[str, object], bool]] = [
        ({}, True),
        ({"fidelity": "paper"}, False),
        ({"mends": {"swapped_sides": False}}, False),
    ]
    for change, swapped in changes:
        changed = settings(repository, augmentation=ALWAYS_FLIPPED, objective=change)
        images = TrainingImages(plain, changed.pretrain)
        sided = 0
        for index, study in enumerate(plain.train.studies):
            image_1SS, labels_AP = images[0, index]
            before_AP = plain.labels[study]
            expected = [RIGHT, LEFT] if swapped else [LEFT, RIGHT]
            np.testing.assert_array_equal(labels_AP[[LEFT, RIGHT]], before_AP[expected])
            np.testing.assert_array_equal(image_1SS[0], plain.shards[plain.train.places[index]][:, ::-1])
            sided += int((before_AP[LEFT] == 1).any() or (before_AP[RIGHT] == 1).any())
        assert sided > 5


def test_loaders_give_batches_of_the_declared_types(workspace: Path, repository: Path) -> None:
    training, validation = loaders(examples(), settings(repository).pretrain, torch.device("cpu"))
    images_B1SS, labels_BAP = next(iter(training))
    assert images_B1SS.shape == (8, 1, 48, 48)
    assert (images_B1SS.dtype, labels_BAP.dtype) == (torch.uint8, torch.int8)
    assert sum(len(images) for images, _ in validation) == 20
