"""The whole graph, stage by stage, under one MLflow run; works in the current folder, which is the workspace."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.core import paths, tracking
from components.core.params import Params, load
from components.core.records.whole import read_json
from pipelines.graph import Graph, Stage, read_graph
from pipelines.stage import PATIENCE_SECONDS, STOPPED, Outcome, run_stage


def figures_of(stage: Stage) -> Mapping[str, Any] | None:
    """The content of a stage's metrics file, None where it has none (yet)."""
    return read_json(Path(stage.figures)) if stage.figures and Path(stage.figures).is_file() else None


def headline(stage: Stage) -> str:
    """The figure that `meta.headline` of a stage names, in words, or an empty string."""
    name = stage.meta.get("headline")
    value = tracking.flatten(figures_of(stage) or {}).get(name) if name else None
    if value is None:
        return ""
    return f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"


def run_and_log(stage: Stage, params: Params, run: Callable[[], Outcome]) -> Outcome:
    """Run one stage by a runner of it and complete its record in MLflow.

    Raises:
        KeyboardInterrupt: we were told to stop.
    """
    try:
        outcome = run()
    except KeyboardInterrupt:
        tracking.log_stage(stage.name, stage.item, params, None, status="KILLED")
        raise
    log_outcome(stage, params, outcome)
    return outcome


def as_process(stage: Stage, force: bool, patience: float = PATIENCE_SECONDS) -> Outcome:
    """Run one stage in processes of this machine."""
    return run_stage(stage.address, force or bool(stage.meta.get("always")), patience)


def as_container(stage: Stage, force: bool) -> Outcome:
    """Run one stage in its container."""
    from pipelines.engine import run_contained  # the stages' images have no engine

    return run_contained(stage, force)


RUNNERS: Mapping[str, Callable[[Stage, bool], Outcome]] = {"process": as_process, "docker": as_container}


def log_outcome(stage: Stage, params: Params, outcome: Outcome) -> None:
    """Complete the record of a stage in MLflow, and note its page there beside the outcome."""
    run_id = tracking.log_stage(
        stage.name,
        stage.item,
        params,
        figures_of(stage) if outcome.status == 0 else None,
        status="FINISHED" if outcome.status == 0 else "FAILED",
        restored=outcome.how in ("restored", "unchanged"),
        seconds=outcome.seconds,
    )
    if run_id:
        outcome.save(tracking.page_of(run_id))


def _title(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def run_graph(forced: list[str], wanted: list[str], runner: str) -> int:
    """Run the stages of the current workspace, each after what it waits for; stops at the first that fails.

    Args:
        forced: addresses or names of stages that run even if nothing changed.
        wanted: addresses or names of the stages that run; none for all.
        runner: one of RUNNERS.

    Returns:
        The exit status: that of the stage that failed, or 0.

    Raises:
        ValueError: params.yaml or dvc.yaml is not valid, or there is no such stage.
    """
    params, graph = load(paths.PARAMS), read_graph()
    chosen = graph.select(forced)
    stages = [stage for stage in graph.order() if not wanted or stage.address in graph.select(wanted)]
    os.environ[tracking.PIPELINE_RUN_VARIABLE] = tracking.pipeline_key(params)
    outcomes: list[Outcome] = []
    status = 0
    with tracking.pipeline_run(params) as end:
        try:
            for stage in stages:
                _title(f"{stage.address}: {stage.description}")
                run = partial(RUNNERS[runner], stage, stage.address in chosen)
                outcomes.append(run_and_log(stage, params, run))
                status = outcomes[-1].status
                if status:
                    break
        except KeyboardInterrupt:
            status = STOPPED
        end.status = {0: "FINISHED", STOPPED: "KILLED"}.get(status, "FAILED")
    print(summary(graph, outcomes, status), flush=True)
    return status


def summary(graph: Graph, outcomes: list[Outcome], status: int) -> str:
    """What happened, as a table, and where to look."""
    done = {outcome.address: outcome for outcome in outcomes}
    rows = [("stage", "", "seconds", "")]
    for stage in graph.order():
        outcome = done.get(stage.address)
        if outcome is None:
            rows.append((stage.address, "not run", "", ""))
        else:
            figure = (
                headline(stage)
                if outcome.status == 0
                else f"exit status {outcome.status}, log: {outcome.log.absolute()}"
            )
            rows.append((stage.address, outcome.how, f"{outcome.seconds:.1f}", figure))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip() for row in rows]
    if status == 0:
        lines += ["", *where_to_look()]
    return "\n" + "\n".join(lines)


def where_to_look() -> list[str]:
    """The addresses of what a run has made."""
    sheets = sorted(paths.PLOTS.glob("phantom/**/*.png"))
    places = [
        ("model card", paths.MODEL_CARD / "index.html"),
        *(("contact sheet", sheet) for sheet in sheets[:1]),
    ]
    lines = [f"{name}: {path.absolute()}" for name, path in places if path.is_file()]
    return [*lines, f"MLflow: `make mlflow`, then http://127.0.0.1:5000 ({tracking.address()})"]
