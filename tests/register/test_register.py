"""Registering a model: gates decide about the alias, the digest about the version, and what is registered predicts."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core import paths, tracking
from components.core.command import GateFailed, TryAgain, run_stage
from components.core.gates import figure_in
from components.core.model import Config, MedSLIP, Mends, load, save
from components.core.model.terms import UNKNOWN
from components.core.params import Params, read_yaml, validate
from components.core.records.digests import folder_digest
from components.core.records.whole import read_json, write_json
from components.core.vocabulary import ANATOMIES, PATHOLOGIES
from components.initial.stage import run as bring
from components.register.stage import run

SIZE = 32
TRAINED = ("effusion", "pneumothorax")
SIZES = {
    "trunk": {"layer_type": "basic", "embedding_size": 8, "depths": [1, 1, 1], "hidden_sizes": [16, 16, 16]},
    "width": 16,
    "decoder_layers": 1,
    "heads": 2,
    "dropout": 0.1,
}


def pretrained(folder: Path, seed: int = 1) -> None:
    torch.manual_seed(seed)
    config = Config.model_validate(
        {"image_size": SIZE, "text_width": 12, "model": SIZES, "mends": Mends().model_dump()}, strict=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(MedSLIP(config, torch.randn(len(PATHOLOGIES), 12), torch.randn(len(ANATOMIES), 12)), folder)
    seen = {name: {"present": 5 * (name in TRAINED), "absent": 5, "anatomies": []} for name in PATHOLOGIES}
    write_json(folder / "metrics.json", {"terms": seen})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    pretrained(tmp_path / "models/pretrained")
    write_json(tmp_path / "metrics/zero_shot/mimic_cxr.json", {"auroc": {"macro": {"value": 0.8}}})
    return tmp_path


@pytest.fixture
def params(repository: Path) -> Params:
    return params_with(repository)


def params_with(repository: Path, **changes: object) -> Params:
    content = read_yaml(repository / "params.yaml")
    content["register"] |= {
        "gates": [{"file": "zero_shot/mimic_cxr", "figure": "auroc.macro.value", "at_least": 0.75}],
        **changes,
    }
    return validate(content)


def register(params: Params) -> dict:
    with tracking.stage_run("register", None, params):
        return run(params, "")


def versions() -> tuple[list[int], int | None]:
    """The numbers of the registered versions, and which of them has the alias."""
    client = tracking.connect()
    numbers = sorted(int(version.version) for version in client.search_model_versions("name = 'medslip'"))
    champion = client.get_registered_model("medslip").aliases.get("champion")
    return numbers, None if champion is None else int(champion)


@pytest.mark.slow
def test_what_is_registered_predicts_where_the_project_is_not(workspace: Path, params: Params) -> None:
    register(params)
    code = """
import sys, numpy, mlflow
model = mlflow.pyfunc.load_model("models:/medslip@champion")
images = numpy.random.default_rng(3).integers(0, 256, (3, 32, 32), numpy.uint8)
model.predict(images).to_json(sys.argv[1])
assert model.predict(images[:0]).shape == (0, 2)
import components
assert "mlartifacts" in components.__file__, components.__file__
"""
    elsewhere = workspace / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([sys.executable, "-c", code, "answers.json"], cwd=elsewhere, check=True)
    answers = json.loads((elsewhere / "answers.json").read_text(encoding="utf-8"))
    images_BHW = np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE), np.uint8)
    with torch.inference_mode():
        expected_BP = load(workspace / "models/pretrained")(torch.from_numpy(images_BHW)[:, None]).presence_BP.numpy()
    assert set(answers) == set(TRAINED)  # what was never trained is not served
    for name in TRAINED:
        np.testing.assert_allclose(list(answers[name].values()), expected_BP[:, PATHOLOGIES.index(name)], atol=1e-5)


def test_pretraining_can_start_from_what_is_registered(workspace: Path, params: Params) -> None:
    write_json(workspace / "models/pretrained/metrics.json", UNKNOWN)
    register(params)

    def bring_in(name: str) -> None:
        bring(params.model_copy(update={"pretrain": params.pretrain.model_copy(update={"init": name})}), "")

    bring_in("models:/medslip@champion")
    assert folder_digest(paths.INITIAL / "model") == folder_digest(paths.PRETRAINED)
    for name in ("models:/nobody@champion", "models:/medslip@nobody", "models:/medslip/99", "models:/medslip"):
        with pytest.raises(ValueError, match=rf"^pretrain\.init: the registry has no {name} "):
            bring_in(name)
    assert folder_digest(paths.INITIAL / "model") == folder_digest(paths.PRETRAINED)


def test_a_model_whose_gates_hold_gets_the_alias_once(workspace: Path, params: Params) -> None:
    figures = register(params)
    registration = (workspace / "models/registration.json").read_bytes()
    assert figures == {"gates": {"held": 1, "failed": 0}, "alias_given": True}
    assert versions() == ([1], 1)
    register(params)
    assert versions() == ([1], 1)
    assert (workspace / "models/registration.json").read_bytes() == registration
    assert b"run_id" not in registration


def test_a_better_gate_takes_the_alias_away_and_another_model_is_another_version(
    workspace: Path, params: Params, repository: Path
) -> None:
    register(params)
    gates = [{"file": "zero_shot/mimic_cxr", "figure": "auroc.macro.value", "at_least": 0.9}]
    register(params_with(repository, gates=gates))
    assert versions() == ([1], None)
    pretrained(workspace / "models/pretrained", seed=2)
    register(params)
    assert versions() == ([1, 2], 2)


def test_a_failed_candidate_leaves_the_champion(
    workspace: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    register(params)
    pretrained(workspace / "models/pretrained", seed=2)
    write_json(workspace / "metrics/zero_shot/mimic_cxr.json", {"auroc": {"macro": {"value": 0.6}}})
    assert register(params)["alias_given"] is False
    assert versions() == ([1, 2], 1)
    assert "gate does not hold: metrics/zero_shot/mimic_cxr.json: auroc.macro.value is 0.6, below 0.75" in (
        capsys.readouterr().out
    )
    assert read_json(workspace / "models/registration.json")["alias"] is None


@pytest.mark.parametrize(
    ("gate", "sentence"),
    [
        ({"file": "zero_shot/nowhere", "figure": "a"}, "metrics/zero_shot/nowhere.json: the file does not exist"),
        ({"file": "zero_shot/mimic_cxr", "figure": "auroc.micro"}, "there is no number auroc.micro in it"),
    ],
)
def test_a_missing_figure_fails_its_gate(
    workspace: Path, repository: Path, gate: dict[str, str], sentence: str
) -> None:
    params = params_with(repository, gates=[{**gate, "at_least": 0.0}], fail_on_gate=True)
    with pytest.raises(GateFailed, match=sentence):
        register(params)
    assert versions() == ([1], None)


def test_a_registry_that_does_not_answer_is_worth_another_try(
    workspace: Path, params: Params, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # discard: nobody listens
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (workspace / "params.yaml").write_text((repository / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(TryAgain, match=r"http://127\.0\.0\.1:9 does not answer"):
        run_stage("register", run, None)
    assert not (workspace / "models/registration.json").exists()


def test_figures_are_found_by_path_even_with_dots_in_names() -> None:
    content = {"a.b": {"c": 1}, "a": {"d": 2.5, "text": "x", "flag": True}}
    assert figure_in(content, "a.b.c") == 1
    assert figure_in(content, "a.d") == 2.5
    assert figure_in(content, "a.text") is None
    assert figure_in(content, "a.e") is None
