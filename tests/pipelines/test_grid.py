"""A grid: what a cell may change, what runs once, and a grid that is killed goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core.params import read_yaml
from components.core.records.whole import read_json
from pipelines.graph import read_graph
from pipelines.grid import Grid, GridRun, before, jobs_of, read_grid
from pipelines.workspace import resolve

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]
CONTENT: dict[str, Any] = {
    "changes": {"pretrain": {"epochs": 3}},
    "stages": ["pretrain", "zero_shot@mimic_cxr"],
    "seeds": [7, 8],
    "reference": "medslip",
    "cells": {"no_icl": {"pretrain": {"objective": {"beta": 0.0}}}, "medslip": {}},
}
# Stages that write down that they ran. The first training waits, so that it can be killed in its midst.
STAGES = """
stages:
  archive:
    cmd: echo archive >> {log} && mkdir -p data && echo images > data/images
    outs: [data/images]
  pretrain:
    cmd: "echo begun >> {log} && sleep $(cat {pause}) && echo trained >> {log} && mkdir -p models && cp params.yaml models/weights"
    params: [pretrain]
    deps: [data/images]
    outs: [models/weights]
  zero_shot:
    foreach: [mimic_cxr]
    do:
      cmd: "echo judged >> {log} && mkdir -p predictions metrics/zero_shot && cp models/weights predictions/scores && echo {{}} > metrics/zero_shot/mimic_cxr.json"
      deps: [models/weights]
      outs: [predictions/scores, metrics/zero_shot/mimic_cxr.json]
"""  # noqa: E501 - a command is one line


def write(path: Path, changes: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({**CONTENT, **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reference": "best"}, "reference: 'best' is not one of the cells"),
        ({"seeds": []}, "seeds: "),
        ({"cells": {"a": {}}, "reference": "a"}, "cells: "),
        ({"cells": {"medslip": {}, "b": {"ingest": {"size": 64}}}}, "cells.b: ingest may not differ between cells"),
        ({"profile": "tiny"}, "profile: "),
    ],
)
def test_a_grid_that_does_not_hang_together_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_grid(write(tmp_path / "grid.yaml", changes))


@pytest.mark.parametrize("name", ["ablation", "compare"])
def test_every_cell_of_the_committed_grids_is_valid_and_differs(repository: Path, name: str) -> None:
    grid, base = read_grid(repository / f"comparisons/{name}.yaml"), read_yaml(repository / "params.yaml")
    jobs = jobs_of(grid, base)
    assert len(jobs) == len(grid.cells) * len(grid.seeds)
    assert jobs[0].cell == grid.reference
    assert len({yaml.safe_dump(job.content) for job in jobs}) == len(jobs)
    graph = read_graph(repository)
    assert {"ingest@mimic_cxr", "knowledge"} <= {stage.address for stage in before(graph, grid.stages)}


def test_a_cell_with_an_unknown_key_is_named(repository: Path) -> None:
    cells = {"medslip": {}, "typo": {"pretrain": {"objective": {"betta": 0.0}}}}
    with pytest.raises(ValueError, match=r"cells.typo: .*pretrain.objective.betta: unknown key"):
        jobs_of(Grid.model_validate({**CONTENT, "cells": cells}, strict=False), read_yaml(repository / "params.yaml"))


@pytest.fixture
def checkout(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository with DVC, the committed parameters, and stages that only write down that they ran."""
    folder = tmp_path / "checkout"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
    (folder / ".gitignore").write_text("/workspaces/\n/.state/\n/data/\n/models/\n/predictions/\n/metrics/\n")
    (folder / "params.yaml").write_bytes((repository / "params.yaml").read_bytes())
    (folder / "dvc.yaml").write_text(STAGES.format(log=tmp_path / "log", pause=tmp_path / "pause"))
    (tmp_path / "pause").write_text("60")
    write(folder / "grid.yaml", {"seeds": [7]})
    subprocess.run([*GIT, "add", "."], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-qm", "one"], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(repository))
    return folder


@pytest.mark.slow
@pytest.mark.hard
def test_a_killed_grid_goes_on_and_computes_nothing_twice(checkout: Path, tmp_path: Path) -> None:
    """Killed in the first training; started again, every stage ends once, and started a third time nothing runs."""
    script = "from pathlib import Path; from pipelines.grid import GridRun; from pipelines.workspace import resolve; " \
        "run = GridRun(Path('grid.yaml'), resolve('HEAD'), 1); run.prepare(); raise SystemExit(run.run())"  # fmt: skip
    log = tmp_path / "log"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while (not log.is_file() or "begun" not in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    run = GridRun(Path("grid.yaml"), resolve("HEAD"), 1)
    with pytest.raises(ValueError, match=r"grid.yaml is being run by another process"):
        run.run()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert log.read_text().split() == ["archive", "begun"]
    (tmp_path / "pause").write_text("0")
    for _ in range(2):
        run.prepare()
        assert run.run() == 0
        assert log.read_text().split() == ["archive", "begun"] + 2 * ["begun", "trained", "judged"]
    assert read_json(run.folder / "grid.json")["cells"] == ["medslip", "no_icl"]
    for cell, beta in (("medslip", 1.0), ("no_icl", 0.0)):
        assert read_yaml(run.folder / cell / "7/predictions/scores")["pretrain"]["objective"]["beta"] == beta
        assert read_json(run.folder / cell / "7/metrics/zero_shot/mimic_cxr.json") == {}


def test_the_table_of_a_grid_that_has_not_run_is_refused(checkout: Path, tmp_path: Path) -> None:
    run = GridRun(checkout / "grid.yaml", "0123456789abcdef", 1)
    with pytest.raises(ValueError, match=r"grid\.yaml has not run at 0123456789ab: no cell of it is done"):
        run.compare(tmp_path / "out")
