"""What a run tells people: its note in Airflow, and why a task failed."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from pipelines.airflow.client import Client, run_path

LONGEST = 1000  # characters that Airflow takes
REFUSALS = ("error: ", "gate failed: ", "try again: ")  # how a stage's own sentence begins
LOOK_BACK = 100
PAUSES = (1.0, 3.0, 0.0)  # seconds after a note that Airflow did not take


def note_of(lines: Sequence[str], links: Mapping[str, str]) -> str:
    """A note in Markdown: a line each; what is too long loses its end, the links never."""
    linked = "\n".join(f"- [{name}]({address})" for name, address in links.items())
    text = ""
    for line in lines:
        item = f"- {line}\n"
        room = LONGEST - len(linked) - len(text)
        text += item if len(item) <= room else f"{item[: max(0, room - 2)]}…\n"[:room]
    return (text + linked).strip()


def write_note(context: Any, lines: Sequence[str], links: Mapping[str, str], log: Any) -> None:
    """Write the note of a DAG run; where that cannot be done, the log says so and the run goes on."""
    from airflow.sdk.configuration import conf  # not at the top: the rest is read without Airflow, too

    run = context["dag_run"]
    passwords = Path(conf.get("core", "simple_auth_manager_passwords_file"))
    for pause in PAUSES:
        try:
            client = Client.from_password_file(conf.get("api", "base_url"), passwords)
            client.patch(run_path(context["dag"].dag_id, run.run_id), {"note": note_of(lines, links)})
            return
        except (OSError, ValueError, requests.RequestException) as error:
            log.warning("the run's note was not written: %s", error)
            time.sleep(pause)


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a stage's log that say something."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return list(deque((line.rstrip() for line in file if line.strip()), count))
    except FileNotFoundError:
        return []


def reason(log: Path) -> str:
    """Why a stage failed: its own sentence, else the last line of its log; empty where there is none."""
    lines = last_lines(log, LOOK_BACK)
    own = [line for line in lines if line.startswith(REFUSALS)]
    return (own or lines or [""])[-1]
