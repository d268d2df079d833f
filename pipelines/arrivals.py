"""How many images the archives hold now: every archive listed afresh, in a workspace of its own; nothing else runs."""

import os
from collections.abc import Mapping
from pathlib import Path

from components.core.params import read_yaml, validate
from components.core.records.whole import read_json, write_json
from components.core.tracking import main_checkout
from pipelines.graph import Graph, Stage, read_graph
from pipelines.stage import run_stage
from pipelines.workspace import WORKSPACES, add_worktree, remove_workspace, resolve, standing_commit, write_params

LISTING = "inventory"  # the stage whose figures count an archive's images
COUNTS = Path(".state/counts.json")


def arrivals_workspace(main: Path) -> Path:
    """Where archives are listed to see whether they have grown."""
    return main / WORKSPACES / "arrivals"


def newly_come(now: Mapping[str, int], before: Mapping[str, int]) -> int:
    """How many images have come since: a dataset that shrank does not hide the growth of another."""
    return sum(max(0, images - before.get(dataset, 0)) for dataset, images in now.items())


def _needed(graph: Graph) -> list[Stage]:
    """The stages that list archives, and what they wait for, in order."""
    needed = {address for address, stage in graph.stages.items() if stage.name == LISTING}
    ordered = graph.order()
    for stage in reversed(ordered):
        if stage.address in needed:
            needed |= graph.upstream[stage.address]
    return [stage for stage in ordered if stage.address in needed]


def count_images() -> int:
    """List the archives of the main checkout's params.yaml, and note in `.state/counts.json` how many images each has.

    Returns:
        The exit status: that of the stage that failed, or 0.

    Raises:
        ValueError: params.yaml or dvc.yaml is not valid.
        KeyboardInterrupt: we were told to stop.
    """
    main, commit = main_checkout(), resolve("HEAD")
    content = read_yaml(main / "params.yaml")
    validate(content)
    folder = arrivals_workspace(main)
    if standing_commit(folder) not in (None, commit):
        remove_workspace(folder)
    add_worktree(folder, commit)
    write_params(folder, content)
    os.chdir(folder)
    COUNTS.unlink(missing_ok=True)
    counts: dict[str, int] = {}
    for stage in _needed(read_graph()):
        outcome = run_stage(stage.address)
        if outcome.status:
            return outcome.status
        if stage.name == LISTING:
            assert stage.figures is not None
            assert stage.item is not None
            counts[stage.item] = read_json(Path(stage.figures))["images"]
    write_json(COUNTS, counts)
    print(", ".join(f"{name}: {images:,} images" for name, images in counts.items()), flush=True)
    return 0
