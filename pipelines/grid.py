"""A grid: the same stages for many cells (a name and what it changes) and seeds, then one table of paired differences.

Each lane is a workspace in which one cell after another runs, so that what comes before the cells' stages is there
once. DVC's run cache keeps every stage that has ended, and a training that was killed goes on from its state; what a
cell predicted is copied beside the others, and a cell whose copy is there is not looked at again.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from components.core import paths
from components.core.explain import explain
from components.core.params import Name, Section, overlay, parse_yaml, read_yaml, replaced
from components.core.records.whole import read_json, whole_folder, write_json
from components.core.tracking import main_checkout
from pipelines.graph import Graph, Stage, read_graph
from pipelines.processes import Record, end_group, run_group
from pipelines.stage import STOPPED, locked, run_stage
from pipelines.workspace import WORKSPACES, git, make_workspace, run_params

GRIDS = Path("comparisons")  # below .state of the main checkout
CHANGEABLE = {"pretrain", "zero_shot", "finetune"}  # sections that a cell may change: what comes before is shared
BEFORE_SECONDS = 24 * 3600.0
LOCK_SECONDS = 5.0
SEEDED = ("pretrain.seed", "finetune.seed")


class Grid(Section):
    """The content of comparisons/<name>.yaml."""

    changes: dict[str, Any] = Field(description="What differs from params.yaml in every cell.")
    stages: tuple[str, ...] = Field(min_length=1, description="Stages that each cell runs: addresses, or names of all.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, description="Of pretraining and fine-tuning.")
    reference: Name = Field(description="The cell that the others are held against.")
    cells: dict[Name, dict[str, Any]] = Field(min_length=2, description="What each cell changes.")

    @model_validator(mode="after")
    def _hangs_together(self) -> "Grid":
        if self.reference not in self.cells:
            raise ValueError(f"reference: {self.reference!r} is not one of the cells ({', '.join(self.cells)})")
        for cell, changes in self.cells.items():
            if unknown := changes.keys() - CHANGEABLE:
                raise ValueError(f"cells.{cell}: {min(unknown)} may not differ between cells, only "
                                 f"{', '.join(sorted(CHANGEABLE))}")  # fmt: skip
        return self


def read_grid(path: Path) -> Grid:
    """Read a grid.

    Raises:
        ValueError: the file is missing, or not of this form.
    """
    try:
        return Grid.model_validate(read_yaml(path), strict=False)
    except ValidationError as error:
        raise ValueError(explain(Grid, error, str(path))) from None


@dataclass(frozen=True)
class Job:
    """One cell with one seed: the content of its params.yaml."""

    cell: str
    seed: int
    content: Any

    @property
    def place(self) -> str:
        """Where its predictions are kept in the grid's folder."""
        return f"{self.cell}/{self.seed}"


def jobs_of(grid: Grid, base: Any) -> list[Job]:
    """Every cell with the first seed, the reference first, then with the next; all checked.

    Raises:
        ValueError: a cell changes a key that does not exist, or to a value that is not allowed.
    """
    order = [grid.reference, *(cell for cell in grid.cells if cell != grid.reference)]
    jobs = []
    for seed in grid.seeds:
        for cell in order:
            content = overlay(overlay(base, grid.changes), grid.cells[cell])
            for key in SEEDED:
                content = replaced(content, key, seed)
            try:
                jobs.append(Job(cell, seed, run_params(content, None, [])))
            except ValueError as error:
                raise ValueError(f"cells.{cell}: {error}") from None
    return jobs


def of_cells(graph: Graph, names: tuple[str, ...]) -> list[Stage]:
    """The stages that each cell runs, in order."""
    chosen = graph.select(list(names))
    return [stage for stage in graph.order() if stage.address in chosen]


def before(graph: Graph, names: tuple[str, ...]) -> list[Stage]:
    """What the stages of the cells wait for, directly or not, in order."""
    chosen = {stage.address for stage in of_cells(graph, names)}
    needed, waiting = set[str](), list(chosen)
    while waiting:
        for address in graph.upstream[waiting.pop()] - needed:
            needed.add(address)
            waiting.append(address)
    return [stage for stage in graph.order() if stage.address in needed - chosen]


def kept(stage: Stage) -> Iterator[str]:
    """What of a stage's outputs the comparison reads: its predictions and its figures."""
    for out in stage.outs:
        if Path(out).parts[0] == paths.PREDICTIONS.name or out == stage.figures:
            yield out


def is_done(folder: Path, job: Job) -> bool:
    """Whether a cell's predictions are there, made with the same parameters."""
    note = folder / job.place / "cell.json"
    return note.is_file() and read_json(note) == job.content


def _run(stage: Stage) -> None:
    """Run a stage of the current workspace.

    Raises:
        ValueError: it fails.
    """
    outcome = run_stage(stage.address)
    if outcome.status:
        raise ValueError(f"{stage.address} ended with status {outcome.status}, log: {outcome.log.absolute()}")


def run_job(job: Job, stages: tuple[str, ...], folder: Path) -> None:
    """Run one cell in the current workspace and keep what it predicts.

    Raises:
        ValueError: a stage fails.
    """
    paths.PARAMS.write_text(yaml.safe_dump(job.content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    chosen = of_cells(read_graph(), stages)
    for stage in chosen:
        _run(stage)
    with whole_folder(folder / job.place) as new:
        for out in (out for stage in chosen for out in kept(stage)):
            (new / out).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if Path(out).is_dir() else shutil.copyfile)(out, new / out)
        write_json(new / "cell.json", job.content)


def run_lane(grid: Grid, jobs: list[Job], workspace: Path, folder: Path) -> None:
    """Run jobs one after another in a workspace, those that are not done yet.

    Raises:
        ValueError: a stage fails.
    """
    os.chdir(workspace)
    left = [job for job in jobs if not is_done(folder, job)]
    if not left:
        return
    paths.PARAMS.write_text(yaml.safe_dump(left[0].content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    with locked(folder / "before.lock", BEFORE_SECONDS):  # the first lane computes it, the others restore it
        for stage in before(read_graph(), grid.stages):
            _run(stage)
    for number, job in enumerate(left, 1):
        print(f"\n=== {job.cell}, seed {job.seed} ({number} of {len(left)} in this lane)", flush=True)
        run_job(job, grid.stages, folder)


@dataclass(frozen=True)
class GridRun:
    """A grid at a commit, its jobs divided into lanes that run side by side.

    Attributes:
        path: of the grid's file.
        commit: what every cell runs.
        lanes: how many.
    """

    path: Path
    commit: str
    lanes: int

    @property
    def name(self) -> str:
        """Names the run's folders: the grid at this commit."""
        return f"{self.path.stem}-{self.commit[:12]}"

    @property
    def folder(self) -> Path:
        """Where the predictions of the cells are kept."""
        return main_checkout() / ".state" / GRIDS / self.name

    def workspace(self, lane: int) -> Path:
        """The folder that a lane works in."""
        return main_checkout() / WORKSPACES / f"{self.name}-lane{lane}"

    def jobs(self, grid: Grid) -> list[Job]:
        """The jobs over the parameters of the commit (see `jobs_of`)."""
        return jobs_of(grid, parse_yaml(git("show", f"{self.commit}:{paths.PARAMS}"), str(paths.PARAMS)))

    def prepare(self) -> None:
        """Check every cell, and note the grid for the comparison.

        Raises:
            ValueError: the grid or a cell is not valid, or there are no lanes.
        """
        if self.lanes < 1:
            raise ValueError(f"--lanes must be 1 or more, not {self.lanes}")
        grid = read_grid(self.path)
        cells = list(dict.fromkeys(job.cell for job in self.jobs(grid)))
        content = {"name": self.path.stem, "revision": self.commit, "reference": grid.reference}
        write_json(self.folder / "grid.json", {**content, "seeds": list(grid.seeds), "cells": cells})

    def run_lane(self, lane: int) -> None:
        """Run every so manieth job in this process (see `run_lane`)."""
        grid = read_grid(self.path)
        jobs = self.jobs(grid)[lane :: self.lanes]
        if jobs:
            workspace = make_workspace(jobs[0].content, self.commit, self.workspace(lane))
            run_lane(grid, jobs, workspace, self.folder)

    def run(self) -> int:
        """Run every lane in a process group of its own; the exit status of one that failed, or 0.

        Raises:
            ValueError: another process runs the same grid at the same commit.
        """
        with locked(self.folder / "lock", LOCK_SECONDS) as ours:
            if not ours:
                raise ValueError(f"{self.path} is being run by another process at {self.commit[:12]}")
            return self._side_by_side()

    def _side_by_side(self) -> int:
        records = [Record(self.folder / f"lane{lane}.json") for lane in range(self.lanes)]

        def in_group(lane: int) -> int:
            records[lane].end_orphans()
            command = [sys.executable, "-m", "pipelines", "grid", str(self.path), "--revision", self.commit]
            part = ["--lanes", str(self.lanes), "--lane", str(lane)]
            return run_group([*command, *part], {**os.environ, "OMP_NUM_THREADS": "1"}, records[lane], _show)

        with ThreadPoolExecutor(self.lanes) as pool:
            try:
                return max(pool.map(in_group, range(self.lanes)))
            except KeyboardInterrupt:
                for group in filter(None, (record.group() for record in records)):
                    end_group(group[0])
                return STOPPED

    def compare(self, out: Path) -> int:
        """Write the table of what is done, and print it; the exit status.

        Raises:
            ValueError: the grid has not begun at this commit.
        """
        if not (self.folder / "grid.json").is_file():
            raise ValueError(f"{self.path} has not run at {self.commit[:12]}: no cell of it is done")
        images = self.workspace(0) / paths.IMAGES
        command = [sys.executable, "-m", "components.core.comparison", str(self.folder), "--images", str(images)]
        return subprocess.run([*command, "--out", str(out)]).returncode


def _show(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
