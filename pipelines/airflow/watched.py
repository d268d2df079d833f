"""Airflow's scheduler under watch: where it hangs it is ended, so that its container's restart policy starts it again.

A scheduler that loses its database stops scheduling and waits for its workers, now and then for ever: it neither works
nor ends. No restart policy sees that, but Airflow's own health report does. Tasks lost with it are tried again.
Use: `python -m pipelines.airflow.watched COMMAND …`.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from types import FrameType

INTERVAL_SECONDS, LIMIT_SECONDS = 10.0, 120.0


def silent(address: str) -> bool:
    """Whether Airflow's server, which reaches the database, says that the scheduler gives no sign of life."""
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=INTERVAL_SECONDS) as answer:
            report = json.load(answer)
    except (OSError, ValueError):
        return False
    return bool(report["metadatabase"]["status"] == "healthy" and report["scheduler"]["status"] != "healthy")


def watch(
    command: Sequence[str],
    is_silent: Callable[[], bool],
    interval: float = INTERVAL_SECONDS,
    limit: float = LIMIT_SECONDS,
) -> int:
    """Run a command in a session of its own, hand on what stops us, and kill it when it has been silent for too long.

    Args:
        command: what runs.
        is_silent: asked every so often.
        interval: seconds between two questions.
        limit: seconds of silence, or since the start, that are too long.

    Returns:
        Its exit status, as a shell gives it; 1 where it was killed.
    """
    child = subprocess.Popen(command, start_new_session=True)

    def hand_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    former = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    heard = time.monotonic()
    try:
        while True:
            try:
                status = child.wait(interval)
                return status if status >= 0 else 128 - status
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if not is_silent():
                    heard = now
                elif now - heard > limit:
                    print(f"no sign of life for {limit:.0f} s: {command[0]} is killed", file=sys.stderr, flush=True)
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
                    return 1
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    address = os.environ["AIRFLOW__API__BASE_URL"]
    sys.exit(watch(sys.argv[1:], lambda: silent(address)))
