"""Runs the pipeline: the stages of dvc.yaml, one after another, through DVC, under one MLflow run."""

import argparse
import json
import os
from functools import partial
from pathlib import Path

from components.core import paths, tracking
from components.core.command import guarded
from components.core.params import load, read_yaml
from pipelines.arrivals import count_images
from pipelines.graph import read_graph
from pipelines.grid import GridRun
from pipelines.run import RUNNERS, as_process, log_outcome, run_and_log, run_graph
from pipelines.scheduled import Request, prepare, publish, run_of_workspace
from pipelines.stage import PATIENCE_SECONDS, STOPPED, Outcome, outcome_file, stops_as_interrupts
from pipelines.workspace import list_workspaces, make_workspace, prune_workspaces, resolve, run_params, uncommitted_code

IN_WORDS = {
    "ran": "ran",
    "restored": "restored from the cache",
    "unchanged": "unchanged since it ran in this workspace",
    "failed": "failed",
}


def _run(arguments: argparse.Namespace) -> int:
    """`run`: in place, or in a workspace where the parameters or the folder are other ones."""
    if arguments.profile or arguments.set or arguments.workspace:
        content = run_params(read_yaml(paths.PARAMS), arguments.profile, arguments.set)
        left_out = uncommitted_code(Path())
        if left_out:
            print(f"note: the workspace has the last commit, without changes of {', '.join(left_out[:5])}", flush=True)
        name = Path(arguments.profile).stem if arguments.profile else "run"
        folder = make_workspace(content, folder=arguments.workspace, name=name)
        print(f"workspace: {folder}", flush=True)
        os.chdir(folder)
    return run_graph(arguments.force, arguments.stages, arguments.runner)


def _stage(arguments: argparse.Namespace) -> int:
    """`stage`: one stage of a workspace, for schedulers."""
    if arguments.workspace:
        os.chdir(arguments.workspace)
    params, stage = load(paths.PARAMS), read_graph().stage(arguments.stage)
    outcome_file(stage.address).unlink(missing_ok=True)
    run = partial(as_process, stage, arguments.force, arguments.patience)
    outcome = run() if arguments.unlogged else run_and_log(stage, params, run)
    print(f"{outcome.address}: {IN_WORDS[outcome.how]}, {outcome.seconds:.1f} s", flush=True)
    return outcome.status


def _log(arguments: argparse.Namespace) -> int:
    """`log`: what `stage --unlogged` left out."""
    if arguments.workspace:
        os.chdir(arguments.workspace)
    stage = read_graph().stage(arguments.stage)
    log_outcome(stage, load(paths.PARAMS), Outcome.read(stage.address))
    return 0


def _prepare(arguments: argparse.Namespace) -> int:
    """`prepare`: the workspace of a scheduled run."""
    try:
        request = Request(**json.loads(arguments.request.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{arguments.request} must be a JSON object of a run: {error}") from None
    prepare(request)
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    """`publish`: the end of a scheduled run."""
    os.chdir(arguments.workspace)
    os.environ[tracking.PIPELINE_RUN_VARIABLE] = run_of_workspace()
    if arguments.ended:
        tracking.end_pipeline(read_yaml(paths.PARAMS), arguments.ended)
    else:
        publish()
    return 0


def _graph(arguments: argparse.Namespace) -> int:
    """`graph`: the stages and what each waits for."""
    graph = read_graph()
    for stage in graph.order():
        print(f"{stage.address}: {stage.description}")
        waits = sorted(graph.upstream[stage.address], key=list(graph.stages).index)
        print(f"    after {', '.join(waits)}" if waits else "    first")
    return 0


def _grid(arguments: argparse.Namespace) -> int:
    """`grid`: its cells and the table, only the table, or (for ourselves) one lane."""
    run = GridRun(arguments.file, resolve(arguments.revision), arguments.lanes)
    if arguments.lane is not None:
        run.run_lane(arguments.lane)
        return 0
    if not arguments.table:
        run.prepare()
        status = run.run()
        if status:
            return status
    return run.compare(arguments.out)


def _workspaces(arguments: argparse.Namespace) -> int:
    """`workspaces list` and `workspaces prune`."""
    if arguments.action == "prune" and not arguments.days >= 0:  # nan, too
        raise ValueError(f"--days must be 0 or more, not {arguments.days}")
    for folder in prune_workspaces(arguments.days) if arguments.action == "prune" else list_workspaces():
        print(f"removed {folder}" if arguments.action == "prune" else folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run every stage that needs it")
    run.add_argument("stages", nargs="*", metavar="STAGE", help="such as ingest or ingest@mimic_cxr (default: all)")
    run.add_argument("--runner", choices=list(RUNNERS), default="process", help="where a stage runs: in processes of "
                     "this machine (default), or in its container")  # fmt: skip
    run.add_argument("--profile", help="a profile of pipelines/profiles (tiny, paper) or a YAML file")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another value, such as "
                     "pretrain.epochs=3; may be repeated")  # fmt: skip
    run.add_argument("--workspace", type=Path, metavar="DIR", help="run in this folder (default with --profile or "
                     "--set: one below workspaces/; else the current folder)")  # fmt: skip
    run.add_argument("--force", action="append", default=[], metavar="STAGE", help="run this stage even if nothing "
                     "changed; may be repeated")  # fmt: skip
    run.set_defaults(action_of=_run)

    stage = commands.add_parser("stage", help="run one stage; ends with the stage's own exit status")
    stage.add_argument("stage", help="such as ingest@mimic_cxr")
    stage.add_argument("--workspace", type=Path, metavar="DIR", help="the workspace (default: the current folder)")
    stage.add_argument("--force", action="store_true", help="run it even if nothing changed")
    stage.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds to wait for locks "
                       "(default %(default).0f)")  # fmt: skip
    stage.set_defaults(action_of=_stage)

    stage.add_argument("--unlogged", action="store_true", help="leave MLflow alone; `log` follows")

    log = commands.add_parser("log", help="log a stage that ran with --unlogged in MLflow")
    log.add_argument("stage", help="such as ingest@mimic_cxr")
    log.add_argument("--workspace", type=Path, metavar="DIR", help="the workspace (default: the current folder)")
    log.set_defaults(action_of=_log)

    prepare_run = commands.add_parser("prepare", help="make the workspace of a run, for schedulers")
    prepare_run.add_argument("request", type=Path, metavar="FILE", help="a JSON object such as "
                             '{"run": "one", "changes": {"pretrain.epochs": 3}}')  # fmt: skip
    prepare_run.set_defaults(action_of=_prepare)

    publish_run = commands.add_parser("publish", help="record and push a prepared run whose stages have run")
    publish_run.add_argument("--workspace", type=Path, metavar="DIR", required=True, help="its workspace")
    publish_run.add_argument("--ended", choices=["FAILED", "KILLED"], help="it has no result: only say so in MLflow")
    publish_run.set_defaults(action_of=_publish)

    count = commands.add_parser("count", help="list the archives and say how many images each holds, for schedulers")
    count.set_defaults(action_of=lambda arguments: count_images())

    graph = commands.add_parser("graph", help="print the stages and what each waits for")
    graph.set_defaults(action_of=_graph)

    grid = commands.add_parser("grid", help="run cells that differ in parameters, and compare them")
    grid.add_argument("file", type=Path, help="a grid, such as comparisons/ablation.yaml")
    grid.add_argument("--lanes", type=int, default=2, help="how many cells side by side (default %(default)s)")
    grid.add_argument("--revision", default="HEAD", help="the commit that every cell runs (default %(default)s)")
    grid.add_argument("--table", action="store_true", help="only the table of what is done")
    grid.add_argument("--out", type=Path, default=Path("comparisons"), metavar="DIR", help="where the table goes "
                      "(default %(default)s)")  # fmt: skip
    grid.add_argument("--lane", type=int, help=argparse.SUPPRESS)
    grid.set_defaults(action_of=_grid)

    workspaces = commands.add_parser("workspaces", help="list the workspaces of earlier runs, or remove old ones")
    workspaces.add_argument("action", choices=["list", "prune"])
    workspaces.add_argument("--days", type=float, default=7.0, help="prune what was not used for so many days "
                            "(default %(default).0f)")  # fmt: skip
    workspaces.set_defaults(action_of=_workspaces)
    return parser


def main() -> int:
    """Run the command line; the exit status is that of the stage that failed, 2 for bad input, 130 when stopped."""
    arguments = _parser().parse_args()
    status = [0]

    def act() -> None:
        status[0] = arguments.action_of(arguments)

    with stops_as_interrupts():
        try:
            return guarded(act) or status[0]
        except KeyboardInterrupt:
            return STOPPED
        except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0


if __name__ == "__main__":
    raise SystemExit(main())
