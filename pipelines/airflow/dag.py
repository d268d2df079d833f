"""The graph of dvc.yaml as an Airflow DAG, drawn when Airflow parses it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, BaseOperator, Param, TaskGroup, task

from components.core.params import read_yaml
from pipelines.airflow import DAG_ID, GPU_POOL
from pipelines.airflow.choices import choices
from pipelines.airflow.failure import report_failure
from pipelines.airflow.form import fields
from pipelines.airflow.tasks import PrepareOperator, PublishOperator, StageOperator
from pipelines.graph import Graph, Stage, build_graph

GROWN = Asset("medslip_archive")  # the arrivals DAG says that an archive has grown
RETRIES = {
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=30),
}
DESCRIPTION = "From DICOM files and reports to a registered chest X-ray model: the stages of dvc.yaml"
DOC = """
One task a stage of `dvc.yaml`, one mapped task an item. **prepare** makes the run's workspace and refuses parameters
that are not allowed; **publish** records the run on a branch and pushes it. A stage that any earlier run has computed
is restored from the cache: its log says so.

Trigger it, and change what you like in the form: what you leave is as in `params.yaml`.
"""


def _doc(stages: Sequence[Stage]) -> str:
    """The documentation of a task: what its stage does, reads, writes and depends on."""
    first = stages[0]
    items = "\n".join(f"- `{stage.item}`: {stage.description}" for stage in stages if stage.item)
    lists = "".join(
        f"\n\n{name}: {', '.join(f'`{entry}`' for entry in entries)}"
        for name, entries in (("Reads", first.deps), ("Writes", first.outs), ("Parameters", first.params))
        if entries
    )
    meta = ", ".join(f"{name} {value}" for name, value in first.meta.items())
    return f"{items or first.description}\n\n`{first.command}`{lists}\n\nFor schedulers: {meta}"


def _list_items(over: str, run: Any) -> Any:
    """A task that gives the items of a run's mapped stages, from its own parameters."""

    @task(
        task_id=f"items_of_{over.replace('.', '_')}",
        doc_md=f"The items of this run's `{over}`: mapped stages run once for each.",
    )
    def items(prepared: dict[str, Any]) -> list[str]:
        listed: list[str] = prepared["items"].get(over, [])  # what came to dvc.yaml later has none in this run
        return listed

    return items(run)


def _stage_task(name: str, stages: Sequence[Stage], lists: Mapping[str, Any], group: TaskGroup) -> Any:
    """The task of a stage; of a mapped stage, the mapped task."""
    first = stages[0]
    options = {
        "task_id": name,
        "stage": name,
        "task_group": group,
        "doc_md": _doc(stages),
        "execution_timeout": timedelta(hours=float(first.meta.get("hours", 24))),
        "pool": GPU_POOL if first.meta.get("gpu") else "default_pool",
        **RETRIES,
    }
    if first.over is None:
        return StageOperator(**options)
    return StageOperator.partial(**options, map_index_template="{{ task.item }}").expand(item=lists[first.over])


def _groups(dag: DAG, graph: Graph) -> dict[str, TaskGroup]:
    """The boxes that `meta.group` of the stages names; a task keeps its stage's name all the same."""
    names: dict[str, list[str]] = {}
    for name, stages in graph.names().items():
        names.setdefault(str(stages[0].meta.get("group", "stages")), []).append(name)
    return {
        group: TaskGroup(group_id=f"{group}_stages", group_display_name=group, prefix_group_id=False,
                         tooltip=", ".join(members), dag=dag)
        for group, members in names.items()
    }  # fmt: skip


def _edges(graph: Graph, tasks: Mapping[str, BaseOperator], prepare: BaseOperator, publish: BaseOperator) -> None:
    """What waits for what: as dvc.yaml says, `prepare` before all and `publish` after all."""
    upstream = graph.upstream_names()
    for name, makers in upstream.items():
        for maker in makers:
            tasks[maker] >> tasks[name]
        if not makers:
            prepare >> tasks[name]
    for name in set(tasks) - {maker for makers in upstream.values() for maker in makers}:
        tasks[name] >> publish


def pipeline_dag(checkout: Path) -> DAG:
    """The DAG of a checkout's dvc.yaml under its params.yaml.

    Raises:
        ValueError: one of them is not valid; Airflow shows the sentence as an import error.
    """
    content = read_yaml(checkout / "params.yaml")
    graph = build_graph(read_yaml(checkout / "dvc.yaml"), content)
    top = choices(list(graph.names()), checkout)
    keys = fields(content)
    dag = DAG(
        DAG_ID,
        description=DESCRIPTION,
        doc_md=DOC,
        schedule=[GROWN],
        catchup=False,
        is_paused_upon_creation=False,
        max_active_runs=8,
        tags=["medslip"],
        params={
            field.name: Param(field.default, field.description, section=field.section, **field.schema)
            for field in (*top, *keys)
        },
        default_args={"on_failure_callback": report_failure},
    )
    with dag:
        with TaskGroup("begin", tooltip="the workspace of the run, and the items of its mapped stages",
                       prefix_group_id=False):  # fmt: skip
            prepare = PrepareOperator(
                task_id="prepare",
                defaults={field.name: field.default for field in keys},
                choices=[field.name for field in top],
                stages=list(graph.names()),
                doc_md="Makes the workspace of the run: a git worktree, its own params.yaml, the shared cache.",
                **RETRIES,
            )
            lists = {over: _list_items(over, prepare.output) for over in graph.items()}
        groups = _groups(dag, graph)
        tasks = {
            name: _stage_task(name, stages, lists, groups[str(stages[0].meta.get("group", "stages"))])
            for name, stages in graph.names().items()
        }
        publish = PublishOperator(
            task_id="publish",
            doc_md="Records `dvc.lock` and `params.yaml` on a branch of the run, and pushes what may be pushed.",
            trigger_rule="none_failed",  # a stage that came to dvc.yaml during the run is skipped
            **RETRIES,
        )
        _edges(graph, tasks, prepare, publish)
    return dag
