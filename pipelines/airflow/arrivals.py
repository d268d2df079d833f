"""A DAG that looks at the archives on a schedule and starts the pipeline when they have grown."""

import os
from typing import Any

from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowSkipException

from components.core.records.whole import read_json
from components.core.tracking import main_checkout
from pipelines.airflow.commands import CHECKOUT
from pipelines.airflow.dag import GROWN, RETRIES
from pipelines.airflow.tasks import Stoppable, refuse
from pipelines.arrivals import COUNTS, arrivals_workspace, newly_come

DAG_ID = "medslip_arrivals"
SCHEDULE_VARIABLE = "MEDSLIP_ARRIVALS_SCHEDULE"
DOC = """
Lists the archives of `params.yaml` afresh, reading no pixel, and compares with what they held when a run was last
started from here. When more images than `grown_by` have come, the `medslip` DAG starts by itself, with the parameters
of `params.yaml`; ingest then decodes only what is new. Switch this DAG on to have it look on its schedule.
"""


class LookOperator(Stoppable):
    """Counts the images of the archives; says that they have grown, or skips."""

    template_fields = ()

    def execute(self, context: Any) -> dict[str, int]:
        """Look; the counts go with the asset's event and are what the next look compares with."""
        main = main_checkout(CHECKOUT)
        status = self.launch(["count"], CHECKOUT, None, main / ".state/arrivals")
        if status != 0:
            refuse("the listing", status, "".join(self.said))
        now: dict[str, int] = read_json(arrivals_workspace(main) / COUNTS)
        events = list(context["inlet_events"][GROWN])
        before = events[-1].extra.get("images", {}) if events else {}
        come, least = newly_come(now, before), context["params"]["grown_by"]
        self.log.info("%d images have come since the last run from here; a run starts above %d", come, least)
        if come <= least:
            raise AirflowSkipException(f"{come} images have come since the last run from here: not more than {least}")
        context["outlet_events"][GROWN].extra = {"images": now, "come": come}
        return now


def arrivals_dag() -> DAG:
    """The DAG that watches the archives."""
    with DAG(
        DAG_ID,
        description="Starts the pipeline when the archives have grown",
        doc_md=DOC,
        schedule=os.environ.get(SCHEDULE_VARIABLE) or "@hourly",
        catchup=False,
        is_paused_upon_creation=True,
        max_active_runs=1,
        tags=["medslip"],
        params={
            "grown_by": Param(
                100,
                "A run starts when more new images than this have come. Allowed: a whole number at least 0.",
                type="integer",
                allOf=[{"minimum": 0}],
            )
        },
    ) as dag:
        LookOperator(
            task_id="look", inlets=[GROWN], outlets=[GROWN], doc_md="Counts the images of every archive.", **RETRIES
        )
    return dag
