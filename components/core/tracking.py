"""The one place that talks to MLflow's tracking.

A run of the pipeline is a parent run, found or made by its key; every stage is a child of it. Learning stages log
themselves while they run. Data stages never import MLflow (two seconds) and leave it to the launcher, which also logs
what was restored from the cache and what a stage could not log for want of a network (`log_stage`).

MLflow is a record, not a part of the work: where it does not answer, a stage says so in a sentence and goes on. Its
figures stand in `metrics/` all the same, and `log_stage` brings them in later.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from components.core.params import Params
from components.core.stopping import held_back
from components.core.trouble import TryAgain

EXPERIMENT = "medslip"
PIPELINE_RUN_VARIABLE = "MEDSLIP_PIPELINE_RUN"  # not MLFLOW_RUN_ID: MLflow would log a stage into the parent itself
DATA_STAGES = frozenset({"phantom", "inventory", "ingest", "reports", "quality"})
KEY_TAG, STAGE_TAG, ITEM_TAG = "medslip.pipeline_key", "medslip.stage", "medslip.item"
FIGURES_TAG, RESTORED_TAG = "medslip.figures", "medslip.restored_from"
DIGEST_TAG = "medslip.digest"
UI_ADDRESS = "http://127.0.0.1:5000"
PAUSE_SECONDS = 60.0
PARAMETERS, METRICS = 100, 1000  # that MLflow takes at once
MOST_SHOWN = 150  # numbers of a metrics file: a run with two thousand is slow to open, and shows nothing


def _git(*arguments: str) -> str | None:
    """What git says in the current folder, or None where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def main_checkout(folder: Path = Path()) -> Path:
    """The main checkout of a folder's repository, also from one of its worktrees; the folder outside a repository."""
    common = _git("-C", str(folder), "rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(common).parent if common else folder.absolute()


def commit() -> str:
    """The commit of the code, with `-dirty` where the code differs from it, or `unversioned`."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return "unversioned"
    # Both change with a run: the one is what the run makes, the other is in its key anyway.
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock", ":!params.yaml")
    return f"{head}-dirty" if changed else head


def kept_in(main: Path) -> Path:
    """The folder of MLflow's database and artifacts in a main checkout; it holds nothing else."""
    return main / ".state/mlflow"


def address() -> str:
    """Where MLflow is: MLFLOW_TRACKING_URI, or the database in the main checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{kept_in(main_checkout()) / 'mlflow.db'}"


def connect() -> Any:
    """An MLflow client for our address, without telemetry and with short patience.

    Raises:
        mlflow.exceptions.MlflowException, OSError: it cannot be reached or read.
    """
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "20"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ):
        os.environ.setdefault(name, value)
    import logging

    with held_back():
        import mlflow

    for noisy in ("alembic", "mlflow.store.db.utils", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        kept_in(main_checkout()).mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(address())
    return mlflow.MlflowClient()


def experiment_id(client: Any) -> str:
    """The id of our experiment, made when it is new; with a SQLite database the artifacts lie beside its file."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(EXPERIMENT)
    if known is None:
        place = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", address())
        location = (Path(place.group(1)).resolve().parent / "mlartifacts").as_uri() if place else None
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException:
            known = client.get_experiment_by_name(EXPERIMENT)  # another stage was faster
            if known is None:
                raise
    return str(known.experiment_id)


def pipeline_key(params: Params | Mapping[str, Any]) -> str:
    """What makes two stages part of one run: the launcher's name for it, or the digest of commit and parameters."""
    given = os.environ.get(PIPELINE_RUN_VARIABLE)
    if given:
        return given
    content = params.model_dump_json(by_alias=True) if isinstance(params, Params) else json.dumps(params)
    return hashlib.sha256(f"{commit()}\n{content}".encode()).hexdigest()[:16]


def flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one level: `{"a": {"b": 1}, "c": [2]}` becomes `{"a.b": 1, "c.0": 2}`."""
    if isinstance(content, Mapping):
        pairs = [(str(key), value) for key, value in content.items()]
    elif isinstance(content, list | tuple):
        pairs = [(str(index), value) for index, value in enumerate(content)]
    else:
        return {prefix: content}
    flat: dict[str, Any] = {}
    for key, value in pairs:
        flat.update(flatten(value, f"{prefix}.{key}" if prefix else key))
    return flat


def numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a nested mapping under its path, in the characters that MLflow allows for a name."""
    return {
        re.sub(r"[^\w\-. :/]", "_", path)[:250]: float(value)
        for path, value in flatten(figures).items()
        if isinstance(value, int | float)
    }


def shown(figures: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that a run shows in MLflow: no more than `MOST_SHOWN`, the rest stays in the metrics file.

    The shallow ones come first, and of a class its value before its interval and counts: a run is compared by its
    headlines.
    """
    found = numbers(figures)

    def rank(path: str) -> tuple[bool, int]:
        return "per_class" in path and not path.endswith(".value"), path.count(".")

    kept = set(sorted(found, key=rank)[:MOST_SHOWN])
    return {path: value for path, value in found.items() if path in kept}


def figures_digest(figures: Mapping[str, Any]) -> str:
    """Tells whether two runs of a stage gave the same figures."""
    return hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()[:16]


class StageRun:
    """A stage's run in MLflow; this one logs nothing: a data stage, or no stage at all."""

    run_id: str | None = None

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        """Log the numbers of a stage's metrics file (see `shown`) under their paths, such as `auroc.macro.value`."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics of a training step."""
        self.log_history([(step, metrics)])

    def log_history(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log metrics of many training steps at once, each row a step and its metrics."""

    def log_artifact(self, path: Path) -> None:
        """Log a file, or a folder under its own name."""


@contextmanager
def _tolerated(what: str) -> Iterator[None]:
    """Turn a failure of MLflow within the block, or of the store that it keeps artifacts in, into a warning."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError, Boto3Error, BotoCoreError, ClientError) as error:
        sentence = " ".join(str(error).split())[:300]
        print(f"warning: MLflow at {address()}: {what} was not logged: {sentence}", file=sys.stderr)


class _LoggedRun(StageRun):
    """A child run that logs; after a failure it leaves MLflow alone for a minute."""

    def __init__(self, client: Any, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self.paused_until = 0.0

    @contextmanager
    def _tolerated(self, what: str) -> Iterator[None]:
        self.paused_until = time.monotonic() + PAUSE_SECONDS
        with _tolerated(what):
            yield
            self.paused_until = 0.0

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        with self._tolerated("figures"):
            _log_metrics(self.client, self.run_id, [(0, shown(figures))])
            self.client.set_tag(self.run_id, FIGURES_TAG, figures_digest(figures))

    def log_history(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        if rows and time.monotonic() >= self.paused_until:
            with self._tolerated(f"step {rows[-1][0]}"):
                _log_metrics(self.client, self.run_id, [(step, numbers(metrics)) for step, metrics in rows])

    def log_artifact(self, path: Path) -> None:
        if time.monotonic() >= self.paused_until:
            with self._tolerated(str(path)):
                if path.is_dir():
                    self.client.log_artifacts(self.run_id, str(path), path.name)
                else:
                    self.client.log_artifact(self.run_id, str(path))


def _log_metrics(client: Any, run_id: str | None, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    entries = [Metric(name, value, now, step) for step, metrics in rows for name, value in metrics.items()]
    for start in range(0, len(entries), METRICS):
        client.log_batch(run_id, metrics=entries[start : start + METRICS])


def _log_params(client: Any, run_id: str, content: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    entries = [Param(name, str(value)) for name, value in flatten(content).items()]
    for start in range(0, len(entries), PARAMETERS):
        client.log_batch(run_id, params=entries[start : start + PARAMETERS])


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "_") + "'"


@contextmanager
def exclusive(what: str) -> Iterator[None]:
    """Hold a lock of this machine on something at our address, so that processes do not make it twice."""
    name = hashlib.sha256(f"{address()}\n{what}".encode()).hexdigest()[:16]
    with open(Path(tempfile.gettempdir()) / f"medslip-{os.getuid()}-{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parent(client: Any, params: Params | Mapping[str, Any]) -> str:
    """Find or make the pipeline's run; a lock keeps stages that start at once from making two."""
    key, experiment = pipeline_key(params).replace("'", "_"), experiment_id(client)
    with exclusive(key):
        found = client.search_runs(
            [experiment], f"tags.`{KEY_TAG}` = {_quoted(key)}", max_results=1, order_by=["attributes.start_time ASC"]
        )
        if found:
            return str(found[0].info.run_id)
        tags = {KEY_TAG: key, "mlflow.source.git.commit": commit()}
        run_id = str(client.create_run(experiment, tags=tags, run_name=f"run {key}").info.run_id)
        _log_params(client, run_id, params.model_dump(by_alias=True) if isinstance(params, Params) else params)
        return run_id


def _child(
    client: Any,
    parent: str,
    stage: str,
    item: str | None,
    params: Params,
    tags: Mapping[str, str],
    seconds: float = 0.0,
) -> str:
    """Make the run of a stage that began some seconds ago, with the parameters of its section."""
    labels = {"mlflow.parentRunId": parent, STAGE_TAG: stage, **({ITEM_TAG: item} if item else {}), **tags}
    name = f"{stage}@{item}" if item else stage
    begun = int((time.time() - seconds) * 1000)
    run_id = str(client.create_run(experiment_id(client), begun, tags=labels, run_name=name).info.run_id)
    _log_params(client, run_id, params.model_dump(by_alias=True).get(stage, {}))
    return run_id


_current: ContextVar[StageRun | None] = ContextVar("current", default=None)


def active() -> StageRun:
    """The run of the stage that is running; one that logs nothing where there is none."""
    return _current.get() or StageRun()


def _start(stage: str, item: str | None, params: Params) -> tuple[StageRun, str | None]:
    """The child run of a stage that logs itself, and its parent; a run that logs nothing where MLflow fails."""
    run: StageRun = StageRun()
    parent = None
    with _tolerated(f"the run of {stage}"):
        client = connect()
        parent = _parent(client, params)
        run = _LoggedRun(client, _child(client, parent, stage, item, params, {}))
    return run, parent


def _end(run: StageRun, parent: str | None, status: str) -> None:
    """End a child, and its parent too where no launcher will."""
    if isinstance(run, _LoggedRun):
        with _tolerated("the end of the run"):
            run.client.set_terminated(run.run_id, status)
            if PIPELINE_RUN_VARIABLE not in os.environ:
                run.client.set_terminated(parent, status)


@contextmanager
def stage_run(stage: str, item: str | None, params: Params) -> Iterator[StageRun]:
    """A child run of the pipeline's run for the time of a stage.

    It ends FAILED when the stage raises, KILLED when the same command is to go on later.
    """
    run, parent = (StageRun(), None) if stage in DATA_STAGES else _start(stage, item, params)
    token = _current.set(run)
    try:
        yield run
    except BaseException as error:
        _end(run, parent, "KILLED" if isinstance(error, KeyboardInterrupt | TryAgain) else "FAILED")
        raise
    else:
        _end(run, parent, "FINISHED")
    finally:
        _current.reset(token)


def start_pipeline(params: Params | Mapping[str, Any], tags: Mapping[str, str]) -> str | None:
    """Find or make the pipeline's run, mark it as running and tag it.

    Args:
        params: its parameters; of another revision, whose schema is its own, as they stand in its file.
        tags: what else is noted.

    Returns:
        Its id; None where MLflow does not answer.
    """
    parent: str | None = None
    with _tolerated("the run of the pipeline"):
        client = connect()
        parent = _parent(client, params)
        client.update_run(parent, status="RUNNING")
        for name, value in tags.items():
            client.set_tag(parent, name, value)
    return parent


def end_pipeline(params: Params | Mapping[str, Any], status: str, artifacts: Sequence[Path] = ()) -> str | None:
    """End the pipeline's run with FINISHED, FAILED or KILLED, and leave files there.

    A run that is killed takes the stages along that had no time to end theirs.

    Returns:
        Its id; None where MLflow does not answer.
    """
    parent: str | None = None
    with _tolerated("the end of the run"):
        client = connect()
        parent = _parent(client, params)
        for path in artifacts:
            client.log_artifact(parent, str(path))
        if status == "KILLED":
            unfinished = f"tags.`mlflow.parentRunId` = {_quoted(parent)} and attributes.status = 'RUNNING'"
            for child in client.search_runs([experiment_id(client)], unfinished):
                client.set_terminated(child.info.run_id, status)
        client.set_terminated(parent, status)
    return parent


class PipelineRun:
    """The parent run; `status` is what it ends with when its block ends well."""

    status = "FINISHED"


@contextmanager
def pipeline_run(params: Params) -> Iterator[PipelineRun]:
    """The parent run for the time of a whole pipeline; it ends FAILED when the block raises."""
    parent = start_pipeline(params, {})
    run = PipelineRun()
    try:
        yield run
    except BaseException:
        run.status = "FAILED"
        raise
    finally:
        if parent is not None:  # a server that was away would only be waited for once more
            end_pipeline(params, run.status)


def page_of(run_id: str) -> str:
    """The page of a run in MLflow's UI: at our address where that is a server, else where `make mlflow` opens it."""
    server = address() if address().startswith("http") else UI_ADDRESS
    return f"{server.rstrip('/')}/#/experiments/{experiment_id(connect())}/runs/{run_id}"


def model_version(client: Any, name: str, digest: str) -> Any:
    """The first registered version of a model whose files have this digest, or None."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'")
    return min(found, key=lambda one: int(one.version), default=None)


def _of_stage(stage: str, item: str | None) -> str:
    return f"tags.`{STAGE_TAG}` = {_quoted(stage)}" + (f" and tags.`{ITEM_TAG}` = {_quoted(item)}" if item else "")


def log_stage(
    stage: str,
    item: str | None,
    params: Params,
    figures: Mapping[str, Any] | None,
    status: str = "FINISHED",
    restored: bool = False,
    seconds: float = 0.0,
) -> str | None:
    """Complete the record of a stage that has ended: for launchers, after every stage. Once more changes nothing.

    Args:
        stage: the stage's name.
        item: what a mapped stage worked on.
        params: the run's parameters.
        figures: the content of its metrics file, None where it has none.
        status: FINISHED, FAILED or KILLED. A child that its process left unfinished is ended so.
        restored: whether the outputs came from the cache; the child is then tagged with the run that computed them.
        seconds: how long the stage took.

    Returns:
        The id of its run; None where there is none.
    """
    run_id: str | None = None
    with _tolerated(f"the run of {stage}"):
        client = connect()
        parent, experiment = _parent(client, params), experiment_id(client)
        inside = f"tags.`mlflow.parentRunId` = {_quoted(parent)} and {_of_stage(stage, item)}"
        children = client.search_runs([experiment], inside)
        for child in children:
            if child.info.status == "RUNNING":
                client.set_terminated(child.info.run_id, "FAILED" if status == "FINISHED" else status)
        if status != "FINISHED" and stage not in DATA_STAGES:
            return str(children[0].info.run_id) if children else None
        digest = figures_digest(figures or {})
        same = [c for c in children if c.info.status == status and c.data.tags.get(FIGURES_TAG) == digest]
        if same:
            return str(same[0].info.run_id)
        tags = {FIGURES_TAG: digest}
        if restored:
            equal = f"{_of_stage(stage, item)} and tags.`{FIGURES_TAG}` = '{digest}' and attributes.status = 'FINISHED'"
            origin = client.search_runs([experiment], equal, max_results=1, order_by=["attributes.start_time ASC"])
            tags[RESTORED_TAG] = origin[0].info.run_id if origin else "cache"
        run_id = _child(client, parent, stage, item, params, tags, seconds)
        _log_metrics(client, run_id, [(0, shown(figures or {}))])
        client.set_terminated(run_id, status)
    return run_id


class Trace(NamedTuple):
    """A run of the pipeline with a dataset in it.

    Attributes:
        run_id, name: of the parent run.
        inventory: what tells the figures of its inventory (`figures_digest`), None where none was logged.
        versions: the models that it registered, each as name and version.
    """

    run_id: str
    name: str
    inventory: str | None
    versions: tuple[str, ...]


def traces_of(dataset: str) -> list[Trace]:
    """Every run of the pipeline that had a dataset among its parameters, the latest first.

    Raises:
        mlflow.exceptions.MlflowException, OSError: MLflow does not answer.
    """
    client = connect()
    experiment = experiment_id(client)
    registered: dict[str, list[str]] = {}
    for version in client.search_model_versions():
        registered.setdefault(version.run_id, []).append(f"{version.name} {version.version}")
    traces = []
    parents = _all_runs(client, experiment, f"params.`datasets.{dataset}.layout` != ''")
    for parent in (run for run in parents if KEY_TAG in run.data.tags):
        children = _all_runs(client, experiment, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        tags = [child.data.tags for child in children]
        listed = (tag for tag in tags if tag.get(STAGE_TAG) == "inventory" and tag.get(ITEM_TAG) == dataset)
        inventory = next((tag.get(FIGURES_TAG) for tag in listed), None)
        versions = [name for run in (parent, *children) for name in registered.get(run.info.run_id, ())]
        traces.append(Trace(parent.info.run_id, parent.info.run_name, inventory, tuple(sorted(versions))))
    return traces


def _all_runs(client: Any, experiment: str, wanted: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment], wanted, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
