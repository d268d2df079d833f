"""What is learnt comes from the reports: an untrained model and shuffled labels fall to chance, the real one does not.

All are judged by the same stage, on the same held-out patients of the tiny profile's archive, against what was drawn.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.model import MedSLIP, load, save
from components.core.model.checkpoint import CONFIG, VOCABULARY, WEIGHTS
from components.core.params import Params, read_yaml, validate
from components.core.records.labels import StudyLabels
from components.core.records.whole import read_json
from components.pretrain.stage import run as pretrain
from components.zero_shot.stage import run as zero_shot
from tests.finished_run import Finished

pytestmark = pytest.mark.slow
DATASET = "mimic_cxr"
UNTRAINED_MODELS = 8
SHUFFLES, SHORT_EPOCHS = 5, 5  # on labels that are not shuffled, as many epochs reach 0.65 to 0.75


@pytest.fixture
def workspace(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The finished run's inputs to pretraining in a folder of the test's own, which is the current one."""
    for name in ("data/images", "data/quality", "data/phantom/truth", "models/knowledge"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(finished.folder / name)
    for name in ("data/findings", "models/pretrained"):
        shutil.copytree(finished.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def params(finished: Finished) -> Params:
    return validate(read_yaml(finished.folder / "params.yaml"))


def test_the_trained_model_is_well_above_chance(finished: Finished) -> None:
    figures = read_json(finished.folder / "metrics/zero_shot/mimic_cxr.json")
    assert figures["truth"] == "drawn"
    assert len(figures["declared"]) >= 4
    assert figures["auroc"]["macro"]["low"] > 0.6


def test_untrained_models_fall_to_chance(workspace: Path, params: Params) -> None:
    folder = workspace / "models/pretrained"
    trained = load(folder)
    values = []
    for seed in range(UNTRAINED_MODELS):
        torch.manual_seed(seed)
        for name in (WEIGHTS, CONFIG, VOCABULARY):
            (folder / name).unlink()
        save(MedSLIP(trained.config, trained.book_p_PT, trained.book_a_AT), folder)
        values.append(zero_shot(params, DATASET)["auroc"]["macro"]["value"])
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - 0.5) < 3 * error + 0.01
    assert max(values) < 0.65


def test_shuffled_labels_fall_to_chance(workspace: Path, params: Params) -> None:
    """Several short trainings, since one says little: it still ranks patients by how striking their images are.

    That ranking is the same for every finding and runs either way, so that the macro figure of one training lies far on
    either side of chance; what the labels gave away would show in all of them alike.
    """
    path = workspace / "data/findings/labels.npz"
    labels = StudyLabels.read(path)
    short = params.model_copy(update={"pretrain": params.pretrain.model_copy(update={"epochs": SHORT_EPOCHS})})
    values = []
    for seed in range(SHUFFLES):
        order = np.random.default_rng(seed).permutation(len(labels.study_ids))
        path.unlink()
        StudyLabels(tuple(labels.study_ids[place] for place in order), labels.cells, labels.values).write(path)
        pretrain(short, "")
        values.append(zero_shot(short, DATASET)["auroc"]["macro"]["value"])
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - 0.5) < 3 * error + 0.01
