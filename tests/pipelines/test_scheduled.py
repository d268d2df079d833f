"""A scheduled run: its workspace is prepared or refused, recorded on a branch, and pushed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from components.core import tracking
from components.core.params import read_yaml
from components.core.records.whole import read_json
from pipelines.scheduled import Request, differences, prepare, publish, record, workspace_of
from pipelines.workspace import RUN, prune_workspaces
from tests.finished_run import GIT

pytestmark = pytest.mark.slow


@pytest.fixture
def inside(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(fresh)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv(tracking.PIPELINE_RUN_VARIABLE, "restored afterwards")
    yield fresh
    monkeypatch.chdir(fresh)
    prune_workspaces(0)


def git(*arguments: str, folder: Path) -> str:
    return subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def parent_of(run: str) -> Any:
    client = tracking.connect()
    (found,) = client.search_runs([tracking.experiment_id(client)], f"tags.`{tracking.KEY_TAG}` = '{run}'")
    return found


MINE = {"dataset": "mimic_cxr", "kind": "classification"}


def test_prepare_makes_a_workspace_and_says_what_the_run_uses(inside: Path) -> None:
    request = Request(
        run="medslip.manual__2026-01-01T00:00:00+00:00",
        profile="tiny",
        changes={"pretrain.epochs": 3, "finetune.tasks": {"mine": MINE, "other": MINE}},
        forced=["quality"],
    )
    folder = prepare(request)
    params = read_yaml(folder / "params.yaml")
    assert folder.parent == inside / "workspaces"
    assert params["pretrain"]["epochs"] == 3
    assert params["ingest"]["size"] == read_yaml(inside / "pipelines/profiles/tiny.yaml")["ingest"]["size"]
    assert read_yaml(inside / "params.yaml")["pretrain"]["epochs"] != 3
    run = read_json(folder / RUN)
    assert run["items"] == {
        "datasets": ["mimic_cxr", "rsna_pneumonia"],
        "finetune.tasks": ["mine", "other"],
    }
    assert run["forced"] == ["quality@mimic_cxr", "quality@rsna_pneumonia"]
    head = git("rev-parse", "HEAD", folder=inside)
    assert f"revision {head[:12]}, profile tiny" in run["note"]
    note = "\n".join(run["note"])
    assert "changed: pretrain.epochs = 3, " in note
    assert f"finetune.tasks.mine = {MINE}" in note
    assert "pretrain" in run["stages"]
    parent = parent_of(request.run)
    assert parent.info.status == "RUNNING"
    assert parent.data.params["pretrain.epochs"] == "3"
    assert "profile tiny" in parent.data.tags["medslip.request"]
    assert run["links"]["MLflow"].endswith(f"/runs/{parent.info.run_id}")


def test_once_more_changes_nothing_even_when_the_branch_moved_on(inside: Path) -> None:
    request = Request(run="again", profile="tiny")
    folder = prepare(request)
    before = git("rev-parse", "HEAD", folder=folder)
    (folder / "data").mkdir()
    os.chdir(inside)
    git("commit", "-qm", "two", "--allow-empty", folder=inside)
    assert prepare(request) == folder
    assert git("rev-parse", "HEAD", folder=folder) == before
    assert (folder / "data").is_dir()


def test_two_runs_with_the_same_parameters_have_workspaces_of_their_own(inside: Path) -> None:
    first = prepare(Request(run="one", profile="tiny"))
    os.chdir(inside)
    second = prepare(Request(run="two", profile="tiny"))
    assert first != second
    assert parent_of("one").info.run_id != parent_of("two").info.run_id


@pytest.mark.parametrize("run", ["../../etc/passwd", "/etc/passwd", ".git", "a b", "-rf", "ü" * 300, "a/../b"])
def test_no_name_of_a_run_leads_out_of_the_workspaces(tmp_path: Path, run: str) -> None:
    folder = workspace_of(run, tmp_path)
    assert folder.parent == tmp_path / "workspaces"
    assert folder.name.replace("-", "").replace("_", "").isalnum()
    assert len(folder.name) < 120
    assert workspace_of("a-b", tmp_path) != workspace_of("a b", tmp_path)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Request(run="r", changes={"pretrain.epochs": 0}), "pretrain.epochs: 0 is not allowed"),
        (Request(run="r", changes={"pretrain.epochs": 3.0}), "pretrain.epochs: 3.0 is not allowed"),
        (Request(run="r", changes={"pretrain.model.heads": 3}), "pretrain.model: width must be a multiple of heads"),
        (Request(run="r", changes={"datasets": {"mine": {"layout": "mimic_cxr", "root": "/x"}}}),
         "pretrain.dataset: 'mimic_cxr' is not one of the datasets"),
        (Request(run="r", changes={"pretrain.epohcs": 3}), "pretrain.epohcs: unknown key"),
        (Request(run="r", profile="huge"), "there is no profile 'huge'; there are paper, tiny"),
        (Request(run="r", revision="nowhere"), "git knows no revision 'nowhere'"),
        (Request(run="r", revision="--output=x"), "'--output=x' is no git revision"),
        (Request(run="r", forced=["imgest"]), "there is no stage 'imgest'"),
        (Request(run="r", stages=["ingest", "audit"]), r"the revision has other stages \(phantom, .* than the DAG"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_and_leaves_no_workspace(inside: Path, request_: Request, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        prepare(request_)
    assert not workspace_of("r", inside).exists()
    assert "workspaces/r" not in git("worktree", "list", folder=inside)


def test_another_revision_has_its_own_code_and_parameters(inside: Path) -> None:
    old = git("rev-parse", "HEAD", folder=inside)
    text = (inside / "params.yaml").read_text(encoding="utf-8")
    try:
        (inside / "params.yaml").write_text(text.replace("overlays: 12", "overlays: 13"), encoding="utf-8")
        git("commit", "-aqm", "more overlays", folder=inside)
        folder = prepare(Request(run="old", revision=old, changes={"pretrain.epochs": 3}))
        params = read_yaml(folder / "params.yaml")
        assert (params["zero_shot"]["overlays"], params["pretrain"]["epochs"]) == (12, 3)
        assert git("rev-parse", "HEAD", folder=folder) == old
    finally:
        git("reset", "-q", "--hard", old, folder=inside)


def test_the_form_of_the_current_revision_is_the_file_as_it_stands(inside: Path) -> None:
    text = (inside / "params.yaml").read_text(encoding="utf-8")
    try:
        (inside / "params.yaml").write_text(text.replace("overlays: 12", "overlays: 14"), encoding="utf-8")
        folder = prepare(Request(run="edited"))
        assert read_yaml(folder / "params.yaml")["zero_shot"]["overlays"] == 14
    finally:
        (inside / "params.yaml").write_text(text, encoding="utf-8")


def test_a_run_is_recorded_on_its_branch_and_the_workspace_stays_where_it_is(inside: Path) -> None:
    folder = prepare(Request(run="medslip.recorded: 1", profile="tiny"))
    head = git("rev-parse", "HEAD", folder=folder)
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n", encoding="utf-8")
    branch = record("medslip.recorded: 1")
    assert branch == f"runs/{folder.name}"
    assert git("show", f"{branch}:dvc.lock", folder=inside) == "schema: '2.0'\nstages: {}"
    assert "epochs: 15" in git("show", f"{branch}:params.yaml", folder=inside)
    assert git("diff", "--name-only", head, branch, folder=inside).split() == ["dvc.lock", "params.yaml"]
    assert git("rev-parse", "HEAD", folder=folder) == git("rev-parse", f"{branch}^", folder=inside) == head
    first = git("rev-parse", branch, folder=inside)
    record("medslip.recorded: 1")
    assert git("rev-parse", branch, folder=inside) == first
    assert git("status", "--porcelain", "--", "pipelines", folder=folder) == ""


def test_publish_pushes_outputs_and_branch_to_the_remotes_of_the_main_checkout(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, hub = tmp_path / "store", tmp_path / "hub.git"
    subprocess.run(["git", "init", "-q", "--bare", str(hub)], check=True)
    relative = os.path.relpath(store, inside)  # as users write it; in a workspace it would be another place
    subprocess.run([sys.executable, "-m", "dvc", "remote", "add", "--local", "-d", "store", relative], check=True)
    monkeypatch.setenv("MEDSLIP_GIT_REMOTE", str(hub))
    try:
        folder = prepare(Request(run="pushed", profile="tiny"))
        (folder / "data").mkdir()
        (folder / "data/one.txt").write_text("one", encoding="utf-8")
        (folder / "dvc.yaml").write_text(
            "stages:\n  one:\n    cmd: 'true'\n    deps: [params.yaml]\n    outs: [data/one.txt]\n", encoding="utf-8"
        )
        subprocess.run([sys.executable, "-m", "dvc", "commit", "-fq", "one"], cwd=folder, check=True)
        publish()
    finally:
        (inside / ".dvc/config.local").unlink()
    assert [path for path in store.rglob("*") if path.is_file()]
    assert git("branch", "--list", "runs/*", folder=hub).split()[-1] == f"runs/{folder.name}"
    assert "outputs: pushed to DVC's remote 'store'" in capsys.readouterr().out
    assert parent_of("pushed").info.status == "FINISHED"
    assert read_json(folder / RUN)["published"]


def test_without_a_remote_a_run_is_published_here(inside: Path) -> None:
    folder = prepare(Request(run="here", profile="tiny"))
    (folder / "model_card").mkdir()
    (folder / "model_card/index.html").write_text("<p>card</p>", encoding="utf-8")
    publish()
    run = read_json(folder / RUN)
    assert "outputs: not pushed, DVC has no default remote" in run["published"]
    assert run["links"]["model card"] == f"{run['links']['MLflow']}/artifacts/index.html"
    downloaded = mlflow.artifacts.download_artifacts(run_id=parent_of("here").info.run_id, artifact_path="index.html")
    assert Path(downloaded).read_text(encoding="utf-8") == "<p>card</p>"


@pytest.mark.parametrize("content", ["{", '{"name": "x"}', "[]"])
def test_a_request_that_is_none_is_refused(inside: Path, content: str, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "pipelines", "prepare", str(tmp_path / "request.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "request.json must be a JSON object of a run" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["publish", "--workspace", "."], "is not the workspace of a prepared run"),
        (["log", "nowhere"], "there is no stage 'nowhere'"),
        (["log", "pretrain"], "pretrain has not run in this workspace"),
    ],
)
def test_the_command_line_refuses_in_a_sentence(inside: Path, arguments: list[str], sentence: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pipelines", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_prepare_by_the_command_line_and_say_that_it_was_cancelled(inside: Path, tmp_path: Path) -> None:
    request = {
        "run": "by hand",
        "profile": "tiny",
        "changes": {"finetune.shares": [number / 7_000 for number in range(1, 7_001)]},
    }
    (tmp_path / "request.json").write_text(json.dumps(request), encoding="utf-8")  # too long for a command line
    subprocess.run([sys.executable, "-m", "pipelines", "prepare", str(tmp_path / "request.json")], check=True)
    folder = workspace_of("by hand", inside)
    assert len(read_yaml(folder / "params.yaml")["finetune"]["shares"]) == 7_000
    ended = ["publish", "--ended", "KILLED", "--workspace", str(folder)]
    subprocess.run([sys.executable, "-m", "pipelines", *ended], check=True)
    assert parent_of("by hand").info.status == "KILLED"


def test_the_note_tells_what_stands_uncommitted_in_params_yaml(inside: Path) -> None:
    text = (inside / "params.yaml").read_text(encoding="utf-8")
    try:
        (inside / "params.yaml").write_text(text.replace("overlays: 12", "overlays: 15"), encoding="utf-8")
        folder = prepare(Request(run="uncommitted"))
        assert "changed: zero_shot.overlays = 15" in read_json(folder / RUN)["note"]
        os.chdir(inside)
        (inside / "params.yaml").write_text(text.replace("overlays: 12", "overlays: 16"), encoding="utf-8")
        prepare(Request(run="uncommitted"))  # cleared: it keeps what it has
        assert read_yaml(folder / "params.yaml")["zero_shot"]["overlays"] == 15
    finally:
        (inside / "params.yaml").write_text(text, encoding="utf-8")


def test_another_revision_may_have_another_schema(inside: Path) -> None:
    head = git("rev-parse", "HEAD", folder=inside)
    schema = inside / "components/core/params.py"
    text, params = schema.read_text(encoding="utf-8"), (inside / "params.yaml").read_text(encoding="utf-8")
    try:
        schema.write_text(text.replace("    overlays: int", "    pictures: int"), encoding="utf-8")
        (inside / "params.yaml").write_text(params.replace("overlays: 12", "pictures: 12"), encoding="utf-8")
        git("commit", "-aqm", "other words", folder=inside)
        other = git("rev-parse", "HEAD", folder=inside)
        git("reset", "-q", "--hard", head, folder=inside)
        folder = prepare(Request(run="other", revision=other))
        assert read_yaml(folder / "params.yaml")["zero_shot"]["pictures"] == 12
        assert parent_of("other").data.params["zero_shot.pictures"] == "12"
        publish()
        os.chdir(inside)
        with pytest.raises(ValueError, match=r"at this revision: .*zero_shot\.pictures: 900 is not allowed"):
            prepare(Request(run="r", revision=other, changes={"zero_shot.pictures": 900}))
    finally:
        git("reset", "-q", "--hard", head, folder=inside)


def test_differences_name_what_changed() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "d": {"e": 1}}
    assert differences(before, {"a": {"b": 2, "c": [1, 2]}, "d": {}}) == ["a.b = 2", "d.e removed"]
    assert differences(before, before) == []


def test_prune_spares_a_scheduled_run_that_may_be_tried_again(inside: Path) -> None:
    waiting, ended = prepare(Request(run="waiting", profile="tiny")), prepare(Request(run="ended", profile="tiny"))
    publish()
    os.chdir(inside)
    removed = prune_workspaces(0)
    assert ended in removed
    assert waiting not in removed
    long_ago = time.time() - 2 * 86_400
    for path in (waiting, waiting / "params.yaml", waiting / "dvc.lock"):
        os.utime(path, (long_ago, long_ago))
    assert waiting in prune_workspaces(0)
