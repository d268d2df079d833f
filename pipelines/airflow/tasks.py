"""The tasks of the DAG: prepare a run, run one stage as a process or in a container, publish the run."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from components.core.records.whole import read_json, write_json
from components.core.tracking import PIPELINE_RUN_VARIABLE, main_checkout
from pipelines.airflow.commands import CHECKOUT, leave_command, run_command
from pipelines.airflow.form import changes
from pipelines.airflow.notes import reason, write_note
from pipelines.containers import container_of, hand_over, stage_command
from pipelines.engine import arguments_of, exit_status, harden, remove, require_images
from pipelines.graph import read_graph
from pipelines.processes import INTERRUPT_SECONDS
from pipelines.scheduled import RUN, workspace_of
from pipelines.stage import STATE, outcome_file

# What a stage's exit status means, where trying again would change nothing; every other one may be a lost node.
FINAL = {1: "a defect", 2: "bad input or parameter", 3: "a gate said no"}
PASSING = {75: "something outside failed", 130: "stopped", 137: "killed, perhaps out of memory", 143: "stopped"}


def run_name(context: Any) -> str:
    """The name of a DAG run in workspaces, branches and MLflow."""
    return f"{context['dag'].dag_id}.{context['run_id']}"


def workspace(context: Any) -> Path:
    """The workspace of a DAG run."""
    return workspace_of(run_name(context), main_checkout(CHECKOUT))


class Stopped(AirflowException):
    """The task was told to stop; it may be tried again."""


class Stoppable(BaseOperator):
    """A task whose command ends with it.

    Airflow calls `on_kill` from the handler of SIGTERM, within `execute`: raised from there, an exception unwinds what
    waits for the command, which ends the command's group.
    """

    stoppable = False
    said: deque[str]

    @contextmanager
    def while_running(self) -> Iterator[None]:
        """The time in which a stop interrupts what runs."""
        self.stoppable = True
        try:
            yield
        finally:
            self.stoppable = False

    def on_kill(self) -> None:
        """Airflow: the task is to end."""
        if self.stoppable:
            self.stoppable = False
            raise Stopped("the task was told to stop; its processes are ended")

    def launch(self, arguments: list[str], folder: Path, run: str | None, record: Path) -> int:
        """Run `python -m pipelines` (see `run_command`): its lines go into this task's log, the last one is kept."""
        self.said = deque(maxlen=1)

        def show(line: str) -> None:
            self.log.info("%s", line)
            self.said.append(line)

        with self.while_running():
            return run_command(arguments, folder, run, record, show)


class RunLink(BaseOperatorLink):
    """A button that leads to a page of the run, which the task has kept under the link's name."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """The button's text."""
        return self._name

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps the address."""
        return f"link_{self._name.replace(' ', '_').lower()}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address that the task knows when it has ended; empty where it knows none."""
        return str(getattr(operator, "pages", {}).get(self._name, ""))


MLFLOW_LINK, CARD_LINK = RunLink("MLflow"), RunLink("model card")


def refuse(what: str, status: int, last: str) -> NoReturn:
    """End a task whose command failed: for good where trying again would change nothing.

    Raises:
        AirflowFailException: Airflow does not try again.
        AirflowException: Airflow tries again after a while.
    """
    status = 128 - status if status < 0 else status
    meaning = FINAL.get(status) or PASSING.get(status) or "lost"
    sentence = f"{what} ended with exit status {status} ({meaning})" + (f": {last}" if last else "")
    raise (AirflowFailException if status in FINAL else AirflowException)(sentence)


class PrepareOperator(Stoppable):
    """Makes the workspace of the run and refuses what is not allowed, before any stage begins.

    Args:
        defaults: the parameters' fields of the form as they stand when it opens.
        choices: the names of the other fields of the form.
        stages: the names of the stages that the DAG has drawn.
    """

    template_fields = ()
    operator_extra_links = (MLFLOW_LINK,)

    def __init__(self, *, defaults: Mapping[str, Any], choices: list[str], stages: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.defaults, self.choices, self.stages = dict(defaults), choices, stages
        self.pages: dict[str, str] = {}

    def execute(self, context: Any) -> dict[str, Any]:
        """Prepare; the content of the run's file goes on to the tasks that list the items of mapped stages."""
        submitted = dict(context["params"])
        given = context["dag_run"].conf or {}
        unknown = sorted(set(given) - set(self.defaults) - set(self.choices))
        if unknown:
            raise AirflowFailException(f"there is no parameter {unknown[0]!r} in the form")
        request = {
            "run": run_name(context),
            "revision": submitted["revision"],
            "profile": submitted["profile"],
            "changes": changes(given, self.defaults),
            "forced": submitted["force"] or [],
            "stages": self.stages,
            "remarks": [f"runner {submitted['runner']}"],
        }
        folder = workspace(context)
        record = main_checkout(CHECKOUT) / ".state/prepare" / folder.name
        asked = record.with_suffix(".json")
        write_json(asked, request)
        status = self.launch(["prepare", str(asked)], CHECKOUT, None, record)
        if status != 0:
            refuse("prepare", status, "".join(self.said))
        run: dict[str, Any] = read_json(folder / RUN)
        self.pages = run["links"]
        write_note(context, run["note"], run["links"], self.log)
        return run


class StageOperator(Stoppable, DockerOperator):
    """Runs one stage of the run's workspace, or restores it from the cache.

    Args:
        stage: the stage's name in dvc.yaml.
        item: what it works on, for a mapped stage.
    """

    template_fields = ("stage", "item")
    operator_extra_links = (MLFLOW_LINK,)

    def __init__(self, *, stage: str, item: str | None = None, **kwargs: Any) -> None:
        super().__init__(image="chosen when it runs", mount_tmp_dir=False, auto_remove="force", **kwargs)
        self.stage, self.item = stage, item
        self.pages: dict[str, str] = {}

    def execute(self, context: Any) -> str:
        """Run the stage; what became of it is what the task returns."""
        folder = workspace(context)
        address = f"{self.stage}@{self.item}" if self.item else self.stage
        if not (folder / RUN).is_file():
            raise AirflowFailException(f"the workspace {folder} is gone: clear prepare, or trigger a new run")
        run = read_json(folder / RUN)
        if self.stage not in run["stages"]:
            raise AirflowSkipException(f"{self.stage} came to dvc.yaml after this run was prepared")
        forced = address in run["forced"]
        (folder / outcome_file(address)).unlink(missing_ok=True)
        runner = context["params"]["runner"]
        begin = self._in_container if runner == "docker" else self._as_process
        try:
            status = begin(context, folder, address, forced)
        except Stopped:
            leave_command(["publish", "--ended", "KILLED", "--workspace", str(folder)], run_name(context))
            raise
        return self._ended(folder, address, status)

    def _as_process(self, context: Any, folder: Path, address: str, forced: bool) -> int:
        options = ["--force"] if forced else []
        return self.launch(["stage", address, *options], folder, run_name(context), self._record(folder, address))

    def _record(self, folder: Path, address: str) -> Path:
        return folder / STATE / address / "launcher"

    def _in_container(self, context: Any, folder: Path, address: str, forced: bool) -> int:
        """The stage in a container; its record in MLflow is completed from here, since it may have no network."""
        main = main_checkout(CHECKOUT)
        labels = {"medslip.run": run_name(context), "medslip.stage": address}
        os.environ[PIPELINE_RUN_VARIABLE] = run_name(context)
        stage = read_graph(folder).stages[address]
        container = container_of(stage, stage_command(address, forced), folder, main, labels)
        try:
            hand_over(stage, container)
            require_images(self.cli, [container.image])
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        for name, value in arguments_of(container).items():
            setattr(self, name, value)
        harden(self.cli)
        remove(self.cli, labels)  # what an earlier try left: it may have been killed before it could
        status = 0
        with self.while_running():
            try:
                super().execute(context)
            except AirflowException as error:
                status = exit_status(error)
        self.launch(["log", address], folder, run_name(context), self._record(folder, address))
        return status

    def on_kill(self) -> None:
        """Airflow: the task is to end; a container is interrupted first, so that DVC leaves no lock."""
        if self.stoppable and self.container is not None:
            with suppress(Exception):
                self.cli.kill(self.container["Id"], "SIGINT")
                self.cli.wait(self.container["Id"], timeout=INTERRUPT_SECONDS)
        super().on_kill()

    def _ended(self, folder: Path, address: str, status: int) -> str:
        """What became of the stage, by the note that it left; a failure in a sentence."""
        noted = folder / outcome_file(address)
        outcome: dict[str, Any] = read_json(noted) if noted.is_file() else {}
        self.pages = {"MLflow": outcome["page"]} if outcome.get("page") else {}
        status = outcome.get("status") or status
        if status != 0:
            refuse(address, status, reason(folder / STATE / address / "log"))
        return str(outcome["how"])


class PublishOperator(Stoppable):
    """Records the run on its branch, pushes what may be pushed, and ends the run in MLflow with the model card."""

    template_fields = ()
    operator_extra_links = (MLFLOW_LINK, CARD_LINK)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pages: dict[str, str] = {}

    def execute(self, context: Any) -> list[str]:
        """Publish; what was published goes into the run's note."""
        folder = workspace(context)
        arguments = ["publish", "--workspace", str(folder)]
        status = self.launch(arguments, CHECKOUT, run_name(context), folder / ".state/publish")
        if status != 0:
            refuse("publish", status, "".join(self.said))
        run = read_json(folder / RUN)
        self.pages = run["links"]
        write_note(context, [*run["note"], *run["published"]], run["links"], self.log)
        return list(run["published"])
