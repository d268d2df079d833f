from types import SimpleNamespace

import numpy as np
import pytest
import torch

from components.core.records.shards import ImageShards
from components.finetune.examples import read_labelled
from components.finetune.loading import LabelledImages, ReadingOrder, TrainingOrder, varied
from components.finetune.task import EarlyStop, Finetuning, masked_loss, new_classifier
from tests import evaluation_workspace as workspace


def test_every_fit_has_the_steps_it_is_told_whatever_its_subset() -> None:
    for count in (3, 10, 1000):
        order = list(TrainingOrder(count, batch=8, steps=5, seed=0))
        assert [len(batch) for batch in order] == [8] * 5
        draws, images = zip(*[key for batch in order for key in batch], strict=True)
        assert draws == tuple(range(40))
        assert np.ptp(np.bincount(images, minlength=count)) <= 1  # no image is seen twice before all were seen once


def test_reading_goes_once_through_everything_unvaried() -> None:
    keys = [key for batch in ReadingOrder(10, batch=4) for key in batch]
    assert keys == [(-1, index) for index in range(10)]


def test_variations_are_mild_and_belong_to_their_draw(tmp_path) -> None:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 20, own_labels=True)
    folder = tmp_path / "data" / "images" / "rsna_pneumonia"
    images = LabelledImages(read_labelled(folder), ImageShards(folder), side=48, seed=3)
    plain, first, again, second = (images[draw, 0][0] for draw in (-1, 5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert np.corrcoef(plain.flatten(), first.flatten())[0, 1] > 0.8
    assert images[-1, 0][0].shape == (1, 48, 48)
    assert LabelledImages(read_labelled(folder), ImageShards(folder), side=32, seed=3)[-1, 0][0].shape == (1, 32, 32)


def test_a_variation_keeps_the_middle_of_the_image_in_the_middle() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[28:36, 28:36] = 200
    moments = [np.argwhere(varied(image, np.random.default_rng(seed)) > 100).mean(0) - 31.5 for seed in range(200)]
    assert np.abs(moments).max() < 4
    assert np.abs(np.mean(moments, axis=0)).max() < 0.5


def test_unknown_labels_do_not_enter_the_loss() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    loss = masked_loss(logits, torch.tensor([[1, -1], [-1, 0]], dtype=torch.int8))
    expected = (torch.nn.functional.softplus(torch.tensor(-2.0)) + torch.nn.functional.softplus(torch.tensor(3.0))) / 2
    assert loss == pytest.approx(expected.item())
    assert masked_loss(logits, torch.full((2, 2), -1)) == 0


def test_the_two_starts_differ_in_the_trunk_alone() -> None:
    sizes = workspace.sizes().model.trunk
    pretrained = workspace.untrained(seed=5).trunk
    warm, cold = new_classifier(sizes, 2, pretrained, seed=1), new_classifier(sizes, 2, None, seed=1)
    assert torch.equal(warm.head.weight, cold.head.weight)
    assert all(torch.equal(warm.trunk.state_dict()[key], value) for key, value in pretrained.state_dict().items())
    assert not torch.equal(next(warm.trunk.parameters()), next(cold.trunk.parameters()))
    assert torch.equal(new_classifier(sizes, 2, None, seed=1).head.weight, cold.head.weight)


def test_the_best_look_is_kept_and_patience_ends_the_training(repository, tmp_path) -> None:
    settings = workspace.write_params(tmp_path, repository, {}).finetune
    classifier = new_classifier(workspace.sizes().model.trunk, 1, None, seed=0)
    task, stop, trainer = (
        Finetuning(classifier, settings, 10),
        EarlyStop(patience=2),
        SimpleNamespace(should_stop=False),
    )
    stops = []
    for look, loss in enumerate([0.9, 0.5, 0.6, 0.5, 0.4]):
        with torch.no_grad():
            classifier.head.bias.fill_(float(look))
        task.validation_loss = loss
        stop.on_validation_end(trainer, task)
        stops.append(trainer.should_stop)
        if look == 3:
            assert (stop.best_look, stop.best["head.bias"].item()) == (1, 1.0)
    assert stops == [False, False, False, True, False]
    assert (stop.best_look, stop.best["head.bias"].item()) == (4, 4.0)
    task.validation_loss = float("nan")
    with pytest.raises(ValueError, match=r"finetune\.learning_rate"):
        stop.on_validation_end(trainer, task)
