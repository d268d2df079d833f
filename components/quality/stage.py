"""The stage: expectations over the tables of a dataset, Data Docs whatever the outcome, a verdict where all hold."""

from typing import Any

from components.core import paths
from components.core.command import GateFailed
from components.core.params import Params
from components.core.records import labels
from components.core.records import tables as schemas
from components.core.records.whole import whole_folder, write_json
from components.quality.counts import counts
from components.quality.docs import write_docs
from components.quality.evidence import frames, read_tables
from components.quality.expectations import archive_suites, report_suites
from components.quality.prevalence import prevalence
from components.quality.validation import outcomes, validate


def run(params: Params, dataset: str) -> dict[str, Any]:
    """Check a dataset; the findings too where it is the one that is pretrained on.

    Returns:
        How many expectations hold and how many rows they looked at, by table; what the reports say, where there are.

    Raises:
        ValueError: the dataset is not in params.yaml, or a table is missing.
        GateFailed: an expectation does not hold; the Data Docs are written, the verdict is not.
    """
    if dataset not in params.datasets:
        raise ValueError(f"{dataset!r} is not one of the datasets in params.yaml ({', '.join(params.datasets)})")
    with_reports = dataset == params.pretrain.dataset
    tables = read_tables(dataset, with_reports)
    looked_at = frames(tables)
    said = None
    if tables.labels is not None:
        # The words as they may be shown: what identifies someone is masked there.
        said = prevalence(tables.labels, looked_at["unmatched"])
    suites = archive_suites(params.quality, params.datasets[dataset].layout) | (
        report_suites(params.quality) if with_reports else {}
    )
    results = validate(looked_at, suites)
    told = outcomes(results)
    folder = paths.QUALITY / dataset
    (folder / "verdict.json").unlink(missing_ok=True)
    with whole_folder(folder / "docs") as docs:
        write_docs(docs, dataset, results, told, counts(looked_at), said)
    failed = [outcome for outcome in told if not outcome.passed]
    if failed:
        lines = "\n".join(f"  {outcome.frame}: {outcome}" for outcome in failed)
        raise GateFailed(
            f"{len(failed)} expectations on {dataset} do not hold; see {folder / 'docs/index.html'}\n{lines}"
        )
    verdict = {
        "dataset": dataset,
        "passed": True,
        "expectations": [outcome.name for outcome in told],
        "schema_versions": {"tables": schemas.VERSION, "labels": str(labels.VERSION)},
    }
    write_json(folder / "verdict.json", verdict)
    figures = {"expectations": len(told), "rows": {name: len(frame) for name, frame in looked_at.items()}}
    return figures | ({"share_without_findings": said.without_findings} if said else {})
