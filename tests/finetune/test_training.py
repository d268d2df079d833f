from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from components.core.records.shards import ImageShards
from components.core.tracking import StageRun
from components.finetune.classification import masked_loss
from components.finetune.examples import read_labelled
from components.finetune.loading import LabelledImages, ReadingOrder, TrainingOrder
from components.finetune.starts import new_network, starts
from components.finetune.task import EarlyStop, Finetuning, learning_rate_share
from components.finetune.training import Looks, Schooling
from tests import evaluation_workspace as workspace


def test_every_fit_has_the_steps_it_is_told_whatever_its_subset() -> None:
    for count in (3, 10, 1000):
        order = TrainingOrder(count, batch=4, steps=2, seed=0)
        batches = []
        for epoch in range(5):
            order.sampler.set_epoch(epoch)  # where the trainer looks for it
            batches += list(order)
        assert [len(batch) for batch in batches] == [4] * 10
        draws, images = zip(*[key for batch in batches for key in batch], strict=True)
        assert draws == tuple(range(40))
        assert np.ptp(np.bincount(images, minlength=count)) <= 1  # no image is seen twice before all were seen once


def test_reading_goes_once_through_everything_unvaried() -> None:
    keys = [key for batch in ReadingOrder(10, batch=4) for key in batch]
    assert keys == [(-1, index) for index in range(10)]


def test_variations_are_mild_and_belong_to_their_draw(repository, tmp_path) -> None:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 20, own_labels=True)
    folder = tmp_path / "data" / "images" / "rsna_pneumonia"
    settings = workspace.write_params(tmp_path, repository, {}).finetune
    labelled = read_labelled(folder, "classification")
    images = LabelledImages(labelled, ImageShards(folder), 48, settings)
    plain, first, again, second = (images[draw, 0][0] for draw in (-1, 5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert np.corrcoef(plain.flatten(), first.flatten())[0, 1] > 0.6
    assert images[-1, 0][0].shape == (1, 48, 48)
    assert LabelledImages(labelled, ImageShards(folder), 32, settings)[-1, 0][0].shape == (1, 32, 32)


def test_a_flip_takes_the_mask_along(repository, tmp_path) -> None:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 20, own_labels=True)
    folder = tmp_path / "data" / "images" / "rsna_pneumonia"
    flips = {"augmentation": {"min_area": 1.0, "flip": 1.0, "rotation_degrees": 0.0, "contrast": 0.0}}
    settings = workspace.write_params(tmp_path, repository, {"finetune": flips}).finetune
    labelled = read_labelled(folder, "segmentation")
    images = LabelledImages(labelled, ImageShards(folder), 48, settings)
    for index in np.flatnonzero(labelled.truth_NC[:, 0]):
        (plain, mask), (flipped, flipped_mask) = images[-1, index], images[3, index]
        assert mask.any()
        assert not torch.equal(mask, mask.flip(-1))
        assert torch.equal(flipped_mask, mask.flip(-1))
        assert torch.equal(flipped, plain.flip(-1))


def test_unknown_labels_do_not_enter_the_loss() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    loss, known = masked_loss(logits, torch.tensor([[1, -1], [-1, 0]], dtype=torch.int8))
    expected = (torch.nn.functional.softplus(torch.tensor(-2.0)) + torch.nn.functional.softplus(torch.tensor(3.0))) / 2
    assert (loss.item(), known.item()) == (pytest.approx(expected.item()), 2)
    assert masked_loss(logits, torch.full((2, 2), -1)) == (0, 0)


@pytest.mark.parametrize("kind", ["classification", "segmentation"])
def test_starts_differ_in_the_trunk_alone(repository, tmp_path, kind: str) -> None:
    model = workspace.untrained(seed=5)
    other = {f"resnet.{name}": tensor for name, tensor in workspace.untrained(6).trunk.backbone.state_dict().items()}
    save_file(other, tmp_path / "imagenet")
    settings = workspace.write_params(
        tmp_path, repository, {"finetune": {"imagenet": str(tmp_path / "imagenet")}}
    ).finetune
    weights = {start: new_network(start, kind, model, 2, settings).state_dict() for start in starts(settings)}
    assert list(weights) == ["pretrained", "imagenet", "scratch"]
    for name, tensor in weights["scratch"].items():
        same = [torch.equal(tensor, weights[start][name]) for start in ("pretrained", "imagenet")]
        assert same == [not (name.startswith("trunk") and name.endswith("convolution.weight"))] * 2, name
    for name, tensor in model.trunk.state_dict().items():
        assert torch.equal(weights["pretrained"][f"trunk.{name}"], tensor)
    assert torch.equal(weights["imagenet"]["trunk.backbone.embedder.embedder.convolution.weight"],
                       other["resnet.embedder.embedder.convolution.weight"])  # fmt: skip


def test_the_rate_warms_up_and_comes_down_unless_the_paper_is_followed() -> None:
    improved = [learning_rate_share(step, 100, "improved") for step in range(100)]
    assert improved[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert (np.diff(improved[10:]) < 0).all()
    assert improved[-1] < 0.001
    assert {learning_rate_share(step, 100, "paper") for step in range(100)} == {1.0}


def test_the_best_look_is_kept_and_patience_ends_the_training(repository, tmp_path) -> None:
    settings = workspace.write_params(tmp_path, repository, {}).finetune
    classifier = new_network("scratch", "classification", workspace.untrained(), 1, settings)
    task, stop, trainer = (
        Finetuning(classifier, masked_loss, settings, 10),
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
    resumed = EarlyStop(patience=2)
    resumed.load_state_dict({**stop.state_dict(), "losses": [0.9, 0.5, 0.6, 0.5]})
    resumed.on_train_start(trainer, task)  # of a training that was killed after its last look
    assert trainer.should_stop
    task.validation_loss = float("nan")
    with pytest.raises(ValueError, match=r"finetune\.learning_rate"):
        stop.on_validation_end(trainer, task)


def test_what_an_earlier_try_has_learnt_is_in_the_run_of_the_next(repository, tmp_path, monkeypatch) -> None:
    workspace.write_dataset(tmp_path, "rsna_pneumonia", 20, own_labels=True)
    folder = tmp_path / "data" / "images" / "rsna_pneumonia"
    settings = workspace.write_params(
        tmp_path, repository, {"finetune": {"epochs": 2, "precision": "32-true"}}
    ).finetune
    labelled, state = read_labelled(folder, "classification"), tmp_path / "state"
    state.mkdir()
    schooling = Schooling(labelled, ImageShards(folder), 48, masked_loss, 1, settings, state, told=[])
    runs: list[dict[int, dict[str, float]]] = []
    monkeypatch.setattr(StageRun, "log_history", lambda self, rows: runs[-1].update(rows))
    for _ in range(2):
        runs.append({})
        network = new_network("scratch", "classification", workspace.untrained(), 1, settings)
        fit = schooling.fit("scratch", network, labelled)
    assert runs[0] == runs[1]
    assert [runs[1][step]["scratch.validation_loss"] for step in (1, 2)] == list(fit.validation_losses)
    half = Looks("scratch", EarlyStop(patience=2))
    half.load_state_dict({"curve": [[1, {"loss": 0.5}]]})  # as the state of an unfinished fit is read
    runs.append({})
    half.on_train_start(None, None)
    assert runs[-1] == {1: {"scratch.loss": 0.5}}


def test_a_finished_fit_that_is_corrupt_is_refused(repository, tmp_path) -> None:
    settings = workspace.write_params(tmp_path, repository, {}).finetune
    schooling = Schooling(None, None, 48, masked_loss, 1, settings, tmp_path, told=[])
    for content in (b"", b"8 bytes and more", save({"head": torch.zeros(1)})):  # the last without the losses
        (tmp_path / "scratch.finished").write_bytes(content)
        with pytest.raises(ValueError, match=r"scratch\.finished is corrupt, remove it"):
            schooling.fit("scratch", torch.nn.Linear(1, 1), None)
