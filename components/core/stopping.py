"""TERM as a request: what is under way reaches a place to stop at, and the same command goes on from there."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from components.core.trouble import TryAgain


class _Terminated(KeyboardInterrupt):
    """TERM came; like an interrupt it is no fault of what it comes upon, so that no `except Exception` keeps it."""


@contextmanager
def ended_by_term() -> Iterator[None]:
    """TERM raises within the block, so that what is half written is cleared away.

    Raises:
        TryAgain: TERM came, and nothing within waited for it (see `told_to_stop`).
    """

    def raise_it(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    former = signal.signal(signal.SIGTERM, raise_it)
    try:
        yield
    except _Terminated:
        raise TryAgain("told to stop; the same command goes on from what has been kept") from None
    finally:
        signal.signal(signal.SIGTERM, former)


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


@contextmanager
def held_back() -> Iterator[None]:
    """TERM and INT come at the end of the block: what their handlers raise within an import may be lost."""
    if threading.current_thread() is not threading.main_thread():  # no handler ever runs in another
        yield
        return
    with told_to_stop(signal.SIGTERM, signal.SIGINT) as told:
        yield
    for number in told[:1]:
        signal.raise_signal(number)
