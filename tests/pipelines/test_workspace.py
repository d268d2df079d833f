"""Workspaces: a worktree with its own parameters and the shared cache; profiles and settings over params.yaml."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core.params import read_yaml, validate
from pipelines import workspace
from pipelines.stage import STATE, locked
from pipelines.workspace import list_workspaces, make_workspace, prune_workspaces, run_params, uncommitted_code

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]


@pytest.fixture
def content(repository: Path) -> Any:
    return read_yaml(repository / "params.yaml")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small repository with DVC."""
    folder = tmp_path_factory.mktemp("checkout")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".gitignore").write_text("/workspaces/\n/.state/\n", encoding="utf-8")
    (folder / "params.yaml").write_text("a: 1\n", encoding="utf-8")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
    subprocess.run([*GIT, "add", "."], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-qm", "one"], cwd=folder, check=True)
    return folder


@pytest.fixture
def inside(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(checkout)
    yield checkout
    prune_workspaces(0)


@pytest.mark.parametrize("profile", sorted(path.stem for path in workspace.PROFILES.glob("*.yaml")))
def test_every_profile_gives_valid_parameters(content: Any, profile: str) -> None:
    params = validate(run_params(content, profile, []))
    assert params != validate(content)


def test_the_paper_profile_has_the_published_sizes(content: Any) -> None:
    pretrain = validate(run_params(content, "paper", [])).pretrain
    trunk = pretrain.model.trunk
    assert (trunk.layer_type, trunk.depths, trunk.hidden_sizes) == ("bottleneck", (3, 4, 6), (256, 512, 1024))
    assert (pretrain.model.width, pretrain.model.decoder_layers, pretrain.model.heads) == (256, 4, 4)
    assert (pretrain.image_size, pretrain.batch, pretrain.epochs, pretrain.learning_rate) == (224, 64, 100, 1e-4)
    assert (pretrain.final_learning_rate, pretrain.warmup_steps, pretrain.weight_decay) == (1e-5, 500, 0.02)
    assert pretrain.objective.fidelity == "paper"


def test_settings_lie_over_the_profile(content: Any) -> None:
    result = run_params(content, "tiny", ["pretrain.epochs=7", "finetune.shares=[0.5]", "knowledge.text_encoder=null"])
    assert result["pretrain"]["epochs"] == 7
    assert result["finetune"]["shares"] == [0.5]
    assert result["pretrain"]["seed"] == content["pretrain"]["seed"]


@pytest.mark.parametrize(
    ("profile", "settings", "sentence"),
    [
        ("huge", [], "there is no profile 'huge'; there are paper, tiny"),
        (None, ["pretrain.epochs"], "'pretrain.epochs' must have the form key.key=value"),
        (None, ["pretrain..epochs=1"], "must have the form key.key=value"),
        (None, ["pretrain.epochs=["], "the value is not YAML"),
        (None, ["pretrain.epochs=0"], "the parameters of the run: pretrain.epochs: 0 is not allowed"),
        (None, ["pretrain.epohcs=1"], "the parameters of the run: pretrain.epohcs: unknown key"),
    ],
)
def test_wrong_parameters_are_refused(content: Any, profile: str | None, settings: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run_params(content, profile, settings)


def test_a_workspace_has_its_parameters_and_the_shared_cache(inside: Path, content: Any) -> None:
    folder = make_workspace(content, name="tiny")
    assert folder.parent == inside / "workspaces"
    assert folder.name.startswith("tiny-")
    assert read_yaml(folder / "params.yaml") == content
    assert read_yaml(inside / "params.yaml") == {"a": 1}
    done = subprocess.run(["dvc", "cache", "dir"], cwd=folder, capture_output=True, text=True, check=True)
    assert (folder / done.stdout.strip()).resolve() == (inside / ".dvc/cache").resolve()
    assert make_workspace(content, name="tiny") == folder
    other = make_workspace({**content, "x": 1}, name="tiny")
    assert other != folder
    os.chdir(folder)  # from within a workspace it is the same main checkout
    assert list_workspaces() == sorted([folder, other])
    os.chdir(inside)


def test_a_folder_that_holds_something_else_is_refused(inside: Path, content: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ValueError, match="is not empty and is no workspace"):
        make_workspace(content, folder=tmp_path)
    folder = make_workspace(content, folder=tmp_path / "new")
    subprocess.run([*GIT, "commit", "-qm", "two", "--allow-empty"], cwd=inside, check=True)
    with pytest.raises(ValueError, match="is a workspace of revision"):
        make_workspace(content, folder=folder)
    subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=inside, check=True)


def test_what_a_workspace_cannot_have_is_refused(inside: Path, content: Any) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        make_workspace(content, revision="nowhere")
    content["datasets"]["mimic_cxr"]["root"] = "archives/mimic"
    with pytest.raises(ValueError, match=r"datasets\.mimic_cxr\.root: 'archives/mimic' is relative"):
        make_workspace(content)
    content["datasets"]["mimic_cxr"]["root"] = "/archives/mimic"
    content["pretrain"]["init"] = "models/earlier"
    with pytest.raises(ValueError, match=r"pretrain\.init: 'models/earlier' is relative"):
        make_workspace(content)


def test_uncommitted_code_is_named(inside: Path) -> None:
    (inside / "params.yaml").write_text("a: 2\n", encoding="utf-8")
    (inside / "code.py").write_text("", encoding="utf-8")
    assert uncommitted_code(inside) == ["code.py"]
    (inside / "code.py").unlink()
    (inside / "params.yaml").write_text("a: 1\n", encoding="utf-8")


def test_prune_removes_what_is_old_and_not_in_use(inside: Path, content: Any) -> None:
    old, used, new = (make_workspace({**content, "x": number}) for number in range(3))
    long_ago = time.time() - 10 * 86_400
    for folder in (old, used):
        for path in (folder, folder / "params.yaml"):
            os.utime(path, (long_ago, long_ago))
    with locked(used / STATE / "pretrain/lock", 0.0):
        os.utime(used, (long_ago, long_ago))
        assert prune_workspaces(7) == [old]
    assert list_workspaces() == sorted([used, new])
    listed = subprocess.run(["git", "worktree", "list"], cwd=inside, capture_output=True, text=True, check=True).stdout
    assert str(old) not in listed


@pytest.mark.parametrize("days", ["-1", "nan"])
def test_prune_with_days_that_mean_nothing_removes_nothing(
    inside: Path, content: Any, repository: Path, days: str
) -> None:
    folder = make_workspace(content)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "workspaces", "prune", f"--days={days}"],
        cwd=inside, env={**os.environ, "PYTHONPATH": str(repository)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, folder.is_dir()) == (2, True)
    assert "--days must be 0 or more" in done.stderr


def test_parameters_are_written_in_plain_yaml(inside: Path, content: Any) -> None:
    text = (make_workspace(content) / "params.yaml").read_text(encoding="utf-8")
    assert list(yaml.safe_load(text)) == list(content)
