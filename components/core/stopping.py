"""TERM as a request: what is under way reaches a place to stop at, and the same command goes on from there."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_to_stop(*numbers: signal.Signals) -> Iterator[list[int]]:
    """Collects signals in the list instead of ending the process; what was set for them before comes back at the end.

    Args:
        numbers: TERM alone where none is given. With INT among them, only the first signal waits: the next INT ends
            the process.
    """
    told: list[int] = []
    former = {number: signal.getsignal(number) for number in numbers or (signal.SIGTERM,)}

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)
        if signal.SIGINT in former:
            signal.signal(signal.SIGINT, former[signal.SIGINT])

    for number in former:
        signal.signal(number, note)
    try:
        yield told
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
