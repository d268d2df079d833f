"""TERM as a request: what is under way reaches a place to stop at, and the same command goes on from there."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_to_stop() -> Iterator[list[int]]:
    """Collects TERM in the list instead of ending the process; what was set for TERM before comes back at the end."""
    told: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    former = signal.signal(signal.SIGTERM, note)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, former)
