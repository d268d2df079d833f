"""The DAG that Airflow draws: the stages and edges of dvc.yaml, and nothing that stands elsewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.graph import read_graph

AIRFLOW = ".venv-airflow/bin/python"
OURS = {"prepare", "publish", "items_of_datasets", "items_of_finetune_tasks"}


def draw(checkout: Path, repository: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(repository / AIRFLOW), str(Path(__file__).with_name("drawn.py")), str(checkout)],
        env={**os.environ, "AIRFLOW_HOME": str(home), "PYTHONPATH": ""},
        capture_output=True, text=True,
    )  # fmt: skip


def drawn_from(checkout: Path, repository: Path, home: Path) -> Any:
    done = draw(checkout, repository, home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def drawn(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return drawn_from(repository, repository, tmp_path_factory.mktemp("airflow"))


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """What Airflow needs of the repository, to be changed."""
    folder = tmp_path / "checkout"
    for name in ("components", "pipelines", "dags"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(repository / name, folder)
    return folder


def edges_of_dvc(repository: Path) -> dict[str, set[str]]:
    """What DVC says that each stage waits for, by the names of dvc.yaml."""
    dot = subprocess.run(
        [sys.executable, "-m", "dvc", "dag", "--dot"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    edges: dict[str, set[str]] = {name.split("@")[0]: set() for name in re.findall(r'^"([^"]+)";$', dot, re.MULTILINE)}
    for maker, user in re.findall(r'^"([^"]+)" -> "([^"]+)";$', dot, re.MULTILINE):
        edges[user.split("@")[0]].add(maker.split("@")[0])
    return edges


def test_edges_are_those_of_dvc_stage_by_stage(drawn: Any, repository: Path) -> None:
    edges = edges_of_dvc(repository)
    assert len(edges) >= 11
    assert set(drawn["tasks"]) == set(edges) | OURS
    for name, makers in edges.items():
        assert set(drawn["tasks"][name]["upstream"]) - OURS == makers, name
        if not makers:
            assert drawn["tasks"][name]["upstream"] == ["prepare"]
    assert drawn["tasks"]["publish"]["upstream"] == ["register"]


def test_mapped_stages_are_mapped_tasks_over_the_runs_own_lists(drawn: Any, repository: Path) -> None:
    for name, stages in read_graph(repository).names().items():
        task = drawn["tasks"][name]
        assert task["mapped"] == (stages[0].item is not None), name
        assert set(task["upstream"]) & OURS - {"prepare"} == (
            {"items_of_" + stages[0].over.replace(".", "_")} if stages[0].over else set()
        )
    for name in OURS - {"prepare", "publish"}:
        assert drawn["tasks"][name]["upstream"] == ["prepare"]


def test_groups_documents_pools_and_limits_come_from_dvc_yaml(drawn: Any, repository: Path) -> None:
    for name, stages in read_graph(repository).names().items():
        task, stage = drawn["tasks"][name], stages[0]
        assert task["group"] == stage.meta["group"]
        assert stage.description in task["doc"]
        assert all(f"`{path}`" in task["doc"] for path in (*stage.deps, *stage.outs))
        assert task["pool"] == ("medslip_gpu" if stage.meta.get("gpu") else "default_pool")
        assert task["hours"] == stage.meta["hours"]
        assert task["retries"] == 3
        assert task["back_off"]


def test_parsing_imports_nothing_heavy(drawn: Any) -> None:
    assert {"dvc", "torch", "mlflow", "pandas", "numpy"} & set(drawn["modules"]) == set()
    assert drawn["seconds"] < 30  # a hang, not a speed


def test_the_form_is_in_sections_and_refuses_with_the_reason(drawn: Any) -> None:
    assert drawn["params"][:4] == ["profile", "revision", "runner", "force"]
    assert drawn["sections"]["pretrain.epochs"] == "pretrain"
    assert drawn["sections"]["profile"] is None
    assert drawn["refused"]["pretrain.epochs"] == "20000 is greater than the maximum of 10000"
    assert "'moon' is not one of" in drawn["refused"]["runner"]
    assert drawn["refused"]["revision"] is None


def test_arrivals_start_the_pipeline(drawn: Any) -> None:
    assert drawn["arrivals"]["outlets"] == drawn["scheduled_by"] == ["medslip_archive"]
    assert "@hourly" in drawn["arrivals"]["schedule"]


def test_a_stage_added_to_dvc_yaml_appears_with_no_other_edit(checkout: Path, repository: Path, tmp_path: Path) -> None:
    added = """
  audit:
    matrix:
      share: ${finetune.shares}
      year: [2025, 2026]
    desc: Audit ${item.share} of ${item.year}
    meta: {group: review, image: train, hours: 3}
    cmd: python -m components.audit ${item.share} ${item.year}
    deps: [models/pretrained]
    outs: ["audits/${key}"]
"""
    (checkout / "dvc.yaml").open("a", encoding="utf-8").write(added)
    tasks = drawn_from(checkout, repository, tmp_path / "home")["tasks"]
    assert tasks["audit"]["upstream"] == ["items_of_audit", "pretrain"]
    assert (tasks["audit"]["group"], tasks["audit"]["mapped"], tasks["audit"]["hours"]) == ("review", True, 3)
    assert tasks["publish"]["upstream"] == ["audit", "register"]


def test_what_cannot_be_drawn_says_why(checkout: Path, repository: Path, tmp_path: Path) -> None:
    (checkout / "params.yaml").write_text("datasets: [", encoding="utf-8")
    done = draw(checkout, repository, tmp_path / "home")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("ValueError: ")
    assert "params.yaml is not YAML" in done.stderr
