"""Run by Airflow's own Python: draws the DAGs of a checkout and prints what a test wants to know of them, as JSON.

usage: drawn.py CHECKOUT
"""

import json
import sys
import time
from pathlib import Path

from airflow.sdk.exceptions import ParamValidationError  # with airflow.sdk, as before the dag processor parses

CHECKOUT = Path(sys.argv[1])
sys.path.insert(0, str(CHECKOUT / "dags"))
begun = time.monotonic()
import medslip  # noqa: E402

seconds = time.monotonic() - begun
import medslip_arrivals  # noqa: E402


def of_task(task):
    """What matters of a task."""
    return {
        "upstream": sorted(task.upstream_task_ids),
        "mapped": type(task).__name__ == "MappedOperator",
        "group": task.task_group.group_display_name if task.task_group else None,
        "doc": task.doc_md,
        "pool": task.pool,
        "retries": task.retries,
        "back_off": bool(task.retry_exponential_backoff),
        "hours": task.execution_timeout.total_seconds() / 3600 if task.execution_timeout else None,
    }


def refusals(dag, values):
    """Why each value of a field is refused, None where it is not."""
    said = {}
    for name, value in values:
        params = dag.params.__copy__()
        try:
            params.get_param(name).resolve(value)
            said[name] = None
        except ParamValidationError as error:
            said[name] = str(error).splitlines()[0]
    return said


dag = medslip.dag
print(
    json.dumps(
        {
            "seconds": seconds,
            "modules": sorted(sys.modules),
            "tasks": {task.task_id: of_task(task) for task in dag.tasks},
            "params": list(dag.params),
            "sections": {name: param.schema.get("section") for name, param in dag.params.items()},
            "refused": refusals(dag, [("pretrain.epochs", 20_000), ("runner", "moon"), ("revision", "HEAD")]),
            "arrivals": {
                "schedule": str(medslip_arrivals.dag.schedule),
                "tasks": [task.task_id for task in medslip_arrivals.dag.tasks],
                "outlets": [asset.name for task in medslip_arrivals.dag.tasks for asset in task.outlets],
            },
            "scheduled_by": [asset.name for asset in dag.timetable.asset_condition.objects],
        },
        default=str,
    )
)
