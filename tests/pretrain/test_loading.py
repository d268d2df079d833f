"""Every draw is a function of (seed, epoch, image); a flip carries the labels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from components.core import paths
from components.core.augmentation import vary_on_device
from components.core.vocabulary import ANATOMY_INDEX
from components.pretrain.examples import Examples, read_examples
from components.pretrain.loading import Batch, Order, TrainingImages, loaders, shared_out
from tests.pretrain.conftest import settings

LEFT, RIGHT = ANATOMY_INDEX["left_lung_unspec"], ANATOMY_INDEX["right_lung_unspec"]
ALWAYS_FLIPPED = {"min_area": 1.0, "flip": 1.0, "rotation_degrees": 0.0, "contrast": 0.0}


def examples() -> Examples:
    return read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", "ignore")


def test_an_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    keys = [key for batch in Order(count=20, batch=5, seed=1, epochs=2) for key in batch]
    first, second = ([index for epoch, index in keys if epoch == number] for number in (0, 1))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


def test_batches_are_full_even_of_few_images() -> None:
    assert [len(batch) for batch in Order(count=20, batch=8, seed=1)] == [8, 8]
    assert [len(batch) for batch in Order(count=3, batch=8, seed=1)] == [3]


def test_a_step_has_the_same_images_whatever_the_parts_the_ranks_and_the_start() -> None:
    whole = list(Order(count=20, batch=8, seed=1, epochs=2))
    shared = [list(Order(20, 8, 1, epochs=2, parts=2, rank=rank, ranks=2)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        parts = [shared[rank][2 * step + part] for part in (0, 1) for rank in (0, 1)]
        assert [len(part) for part in parts] == [2, 2, 2, 2]
        assert [key for part in parts for key in part] == batch
    resumed = Order(count=20, batch=8, seed=1, epochs=2)
    resumed.first = 3
    assert list(resumed) == whole[3:]


def test_a_step_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match=r"it must be a multiple of pretrain.accumulate x devices = 3"):
        Order(count=20, batch=8, seed=1, ranks=3)
    with pytest.raises(ValueError, match="3 training images are too few"):
        Order(count=3, batch=8, seed=1, parts=2, ranks=2)


@pytest.mark.parametrize(("count", "ranks"), [(7, 1), (7, 2), (8, 3), (2, 4)])
def test_every_image_is_looked_at_and_all_ranks_have_as_many(count: int, ranks: int) -> None:
    shares = [shared_out(count, rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert [index for together in zip(*shares, strict=True) for index in together][:count] == list(range(count))


def test_the_same_key_gives_the_same_image_and_another_epoch_another(workspace: Path, repository: Path) -> None:
    images = TrainingImages(examples(), settings(repository).pretrain)
    for one, other in zip(images[2, 5], images[2, 5], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(images[2, 5].images_B1SS, images[3, 5].images_B1SS)


def test_a_flip_swaps_the_sides_of_the_labels_unless_the_paper_is_followed(workspace: Path, repository: Path) -> None:
    plain = examples()
    for fidelity, swapped in (("improved", True), ("paper", False)):
        changed = settings(repository, augmentation=ALWAYS_FLIPPED, objective={"fidelity": fidelity})
        images = TrainingImages(plain, changed.pretrain)
        sided = 0
        for index, study in enumerate(plain.train.studies):
            image_1SS, labels_AP, *_ = images[0, index]
            before_AP = plain.labels[study]
            expected = [RIGHT, LEFT] if swapped else [LEFT, RIGHT]
            np.testing.assert_array_equal(labels_AP[[LEFT, RIGHT]], before_AP[expected])
            np.testing.assert_array_equal(image_1SS[0], plain.shards[plain.train.places[index]][:, ::-1])
            np.testing.assert_array_equal(before_AP, examples().labels[study])  # never mutated
            sided += int((before_AP[LEFT] == 1).any() or (before_AP[RIGHT] == 1).any())
        assert sided > 5


def test_opencv_and_the_device_vary_alike(workspace: Path, repository: Path) -> None:
    plain = examples()
    smooth = torch.from_numpy(np.indices((48, 48)).sum(0)).float()
    smooth_SS = (127 + 100 * torch.sin(smooth / 9) * torch.cos(smooth.T / 7 + 1)).numpy().astype(np.uint8)
    for place in set(plain.train.places):
        plain.shards.shards[place[0]] = np.broadcast_to(smooth_SS, (100, 48, 48))
    strong = {"min_area": 0.3, "flip": 0.5, "rotation_degrees": 30.0, "contrast": 0.4}
    batches = {}
    for engine in ("cv2", "grid_sample"):
        images = TrainingImages(plain, settings(repository, augmentation={**strong, "engine": engine}).pretrain)
        batches[engine] = Batch(*map(torch.stack, zip(*(images[0, index] for index in range(20)), strict=True)))
    drawn = batches["grid_sample"]
    varied_B1SS = vary_on_device(drawn.images_B1SS, drawn.matrix_B23, drawn.levels_B2, 48)
    assert torch.equal(drawn.labels_BAP, batches["cv2"].labels_BAP)
    difference = (varied_B1SS - batches["cv2"].images_B1SS.float()).abs()
    assert difference.mean() < 0.5
    assert difference.median() <= 1


def test_loaders_give_batches_of_the_declared_types(workspace: Path, repository: Path) -> None:
    section = settings(repository).pretrain
    training, validation = loaders(examples(), section, torch.device("cpu"), Order(59, 8, section.seed))
    batch = next(iter(training))
    assert batch.images_B1SS.shape == (8, 1, 48, 48)
    assert (batch.images_B1SS.dtype, batch.labels_BAP.dtype) == (torch.uint8, torch.int8)
    assert sum(len(images) for images, _ in validation) == 20
