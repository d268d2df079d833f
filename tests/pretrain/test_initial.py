"""Pretraining from given weights: taken as they are, trained on, or refused in a sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from components.core import paths
from components.core.model import load
from components.core.model.terms import UNKNOWN, served_pathologies
from components.core.params import Params
from components.core.records.whole import write_json
from components.core.vocabulary import PATHOLOGIES
from components.initial.stage import run as bring
from components.pretrain.stage import build_model, run
from tests.pretrain.conftest import CHANGES, settings

WEIGHTS = "weights.safetensors"


@pytest.fixture
def given(workspace: Path, repository: Path) -> Path:
    """A model that an earlier run trained for an epoch."""
    run(settings(repository, epochs=1), "")
    shutil.copytree(paths.PRETRAINED, workspace / "given")
    return workspace / "given"


def from_given(repository: Path, given: Path, **changes: object) -> Params:
    params = settings(repository, init=str(given), **changes)
    bring(params, "")
    return params


def test_a_model_taken_as_it_is_is_only_evaluated(given: Path, repository: Path) -> None:
    figures = run(from_given(repository, given, train=False, seed=99), "")
    assert (paths.PRETRAINED / WEIGHTS).read_bytes() == (given / WEIGHTS).read_bytes()
    seen, before = (json.loads((folder / "metrics.json").read_text()) for folder in (paths.PRETRAINED, given))
    assert seen["terms"] == before["terms"]
    assert figures["validation"] == before["validation"]
    assert figures["loss"] == {}
    assert (paths.PLOTS / "pretrain" / "loss.png").is_file()


def test_of_a_published_checkpoint_nobody_knows_what_was_seen(given: Path, repository: Path) -> None:
    write_json(given / "metrics.json", UNKNOWN)
    run(from_given(repository, given, train=False), "")
    assert served_pathologies(paths.PRETRAINED) == PATHOLOGIES
    (given / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"^pretrain\.init: .*metrics\.json"):
        from_given(repository, given, train=False)


def test_training_starts_from_the_given_weights_and_books(given: Path, repository: Path) -> None:
    params = from_given(repository, given, seed=99)
    start = build_model(params.pretrain).state_dict()
    assert all(torch.equal(start[name], tensor) for name, tensor in load(given).state_dict().items())
    write_json(paths.INITIAL / "model/metrics.json", UNKNOWN)
    run(params, "")
    assert (paths.PRETRAINED / WEIGHTS).read_bytes() != (given / WEIGHTS).read_bytes()
    assert 0 < len(served_pathologies(paths.PRETRAINED)) < len(PATHOLOGIES)  # what the last training saw


def test_the_receipt_tells_when_the_weights_are_other_ones(given: Path, repository: Path) -> None:
    from_given(repository, given)
    receipt = (paths.INITIAL / "receipt.json").read_text()
    from_given(repository, given)
    assert (paths.INITIAL / "receipt.json").read_text() == receipt
    run(settings(repository, epochs=2), "")
    from_given(repository, paths.PRETRAINED)
    assert (paths.INITIAL / "receipt.json").read_text() != receipt
    bring(settings(repository), "")
    assert json.loads((paths.INITIAL / "receipt.json").read_text()) == {"digest": None}
    assert not (paths.INITIAL / "model").exists()


def test_weights_of_another_trunk_are_refused(given: Path, repository: Path) -> None:
    trunk = {"layer_type": "basic", "embedding_size": 8, "depths": [1, 1, 2], "hidden_sizes": [16, 16, 16]}
    params = from_given(repository, given, model={**CHANGES["model"], "trunk": trunk})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"a model with model\.trunk\.depths\.2 1, the parameters say 2"):
        build_model(params.pretrain)


def test_what_is_no_model_is_refused_and_leaves_what_stood_there(given: Path, repository: Path) -> None:
    from_given(repository, given)
    before = sorted(paths.INITIAL.rglob("*"))
    (given / WEIGHTS).write_bytes((given / WEIGHTS).read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"^pretrain\.init: .*weights\.safetensors is corrupt or cut short"):
        from_given(repository, given)
    with pytest.raises(ValueError, match=r"^pretrain\.init: data is no model: config\.json"):
        from_given(repository, Path("data"))
    assert sorted(paths.INITIAL.rglob("*")) == before


def test_nothing_to_train_and_nothing_given_is_refused(workspace: Path, repository: Path) -> None:
    with pytest.raises(ValueError, match="init must name the weights"):
        settings(repository, train=False)
