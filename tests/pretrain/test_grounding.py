"""Where the model looks while it is trained, as a picture."""

import shutil
from pathlib import Path

import pytest

from components.core import paths
from components.core.tracking import StageRun
from components.core.vocabulary import PATHOLOGIES
from components.pretrain.examples import read_examples
from components.pretrain.grounding import log_overlay, shown
from components.pretrain.stage import build_model
from tests.pretrain.conftest import settings


class KeptRun(StageRun):
    """A run whose artifacts lie in the current folder."""

    run_id = "run"

    def log_artifact(self, path: Path) -> None:
        shutil.copy(path, path.name)


@pytest.mark.parametrize("form", ["medslip", "one_stream", "global_contrast", "supervised"])
def test_a_picture_of_the_same_images_for_every_form(workspace: Path, repository: Path, form: str) -> None:
    section = settings(repository, objective={"form": form}).pretrain
    examples = read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", "ignore")
    pairs = shown(examples)
    assert {PATHOLOGIES[pathology] for _, pathology in pairs} == {"nodule", "effusion"}
    assert pairs == shown(examples)
    log_overlay(build_model(section).eval(), examples, section, KeptRun(), 7)
    assert Path("grounding-0000007.png").is_file()
    log_overlay(build_model(section).eval(), examples, section, StageRun(), 8)
    assert not Path("grounding-0000008.png").exists()
