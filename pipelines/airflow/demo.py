"""Triggers a run of the pipeline in Airflow and shows its progress, task by task, in the terminal."""

import argparse
import time
from typing import Any

import requests

from components.core.command import TRY_AGAIN, guarded
from components.core.params import read_yaml
from components.core.tracking import main_checkout
from pipelines.airflow import DAG_ID
from pipelines.airflow.client import Client
from pipelines.airflow.form import fields
from pipelines.services import Services
from pipelines.workspace import read_setting

ENDED = ("success", "failed")
TOLD = ("running", *ENDED, "up_for_retry", "upstream_failed")
POLL_SECONDS = 1.0


def parameters_of(profile: str | None, settings: list[str], content: Any) -> dict[str, Any]:
    """What a form would submit for a profile and settings such as `pretrain.epochs=3`.

    Raises:
        ValueError: a setting is no field of the form.
    """
    submitted: dict[str, Any] = {"profile": profile} if profile else {}
    names = [field.name for field in fields(content)]
    for setting in settings:
        changed = read_setting(setting)
        name = setting.partition("=")[0]
        if name not in names:
            raise ValueError(f"{name!r} is no parameter; there are {', '.join(names)}")
        for part in name.split("."):
            changed = changed[part]
        submitted[name] = changed
    return submitted


def title(task: Any) -> str:
    """A task's name, with the item of a mapped one."""
    item = task["rendered_map_index"] or (task["map_index"] if task["map_index"] >= 0 else None)
    return f"{task['task_id']}@{item}" if item is not None else str(task["task_id"])


def follow(client: Client, run: str) -> str:
    """Show each change of a task's state until the run ends; returns the run's state."""
    begun, shown = time.monotonic(), dict[str, str]()
    while True:
        state = str(client.run(DAG_ID, run)["state"])
        tasks = client.tasks(DAG_ID, run)
        ended = sum(task["state"] in (*ENDED, "skipped", "upstream_failed") for task in tasks)
        for task in tasks:
            name, now = title(task), str(task["state"])
            unnamed = task["map_index"] >= 0 and task["rendered_map_index"] in (None, str(task["map_index"]))
            if now == shown.get(name) or now not in TOLD or unnamed:
                continue  # nothing new, or its item is not known yet
            shown[name] = now
            seconds = f"{task['duration']:.1f} s" if now in ENDED and task["duration"] else ""
            clock = f"{time.monotonic() - begun:6.0f} s"
            print(f"{clock}  {ended:>2}/{len(tasks)}  {name:<28} {now:<10} {seconds}".rstrip(), flush=True)
        if state in ENDED:
            return state
        time.sleep(POLL_SECONDS)


def tell_failures(client: Client, run: str) -> None:
    """The last lines of what failed tasks have logged."""
    for task in client.tasks(DAG_ID, run):
        if task["state"] == "failed":
            print(f"\n{title(task)} failed:")
            print("\n".join(client.log(DAG_ID, run, task).strip().splitlines()[-12:]))


def demo(profile: str | None, settings: list[str]) -> int:
    """Trigger, follow, and end with the run's note: the registry's entry and the links.

    Returns:
        0 where the run is green, else 1.

    Raises:
        ValueError: the services do not run, or a parameter is not allowed.
    """
    services = Services(main_checkout())
    submitted = parameters_of(profile, settings, read_yaml(services.main / "params.yaml"))
    client = services.client()
    run = client.trigger(DAG_ID, submitted)
    print(f"{services.airflow}/dags/{DAG_ID}/runs/{run}", flush=True)
    state = follow(client, run)
    if state != "success":
        tell_failures(client, run)
    print(f"\n{state}\n{client.run(DAG_ID, run)['note'] or ''}", flush=True)
    return 0 if state == "success" else 1


def main() -> int:
    """Run the command line; the exit status is 0 for a green run, 1 for a red one, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.airflow.demo", description=__doc__)
    parser.add_argument("--profile", help="a profile of pipelines/profiles, such as tiny")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another value; may be repeated"
    )
    arguments = parser.parse_args()
    status = [0]

    def act() -> None:
        status[0] = demo(arguments.profile, arguments.set)

    try:
        return guarded(act) or status[0]
    except requests.RequestException as error:
        print(f"try again: Airflow does not answer: {error}")
        return TRY_AGAIN
    except KeyboardInterrupt:
        print("\nthe run goes on in Airflow; cancel it there")
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
