"""What is told to stop ends where it may: TERM waits, and of two interrupts the second does not."""

import contextlib
import os
import signal

import pytest

from components.core.stopping import ended_by_term, held_back, told_to_stop
from components.core.trouble import TryAgain


def test_term_waits_and_what_stood_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with told_to_stop() as told:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert told == [signal.SIGTERM, signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def interrupted(times: int, *numbers: signal.Signals) -> list[int]:
    """What is told of so many interrupts."""
    with told_to_stop(*numbers) as told:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
    return told


def test_the_second_interrupt_ends_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert interrupted(1, signal.SIGTERM, signal.SIGINT) == [signal.SIGINT]
    with pytest.raises(KeyboardInterrupt):
        interrupted(2, signal.SIGTERM, signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_nobody_asked_for_is_not_kept_back() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(1)


def terminated(held: list[bool]) -> None:
    with ended_by_term(), contextlib.suppress(Exception):  # a stop is no fault of what it comes upon
        with told_to_stop() as told:
            os.kill(os.getpid(), signal.SIGTERM)
        assert told == [signal.SIGTERM]
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            held.append(True)
        pytest.fail("it comes when it is no longer held back")


def test_term_that_nobody_waits_for_ends_the_block() -> None:
    before, held = signal.getsignal(signal.SIGTERM), list[bool]()
    with pytest.raises(TryAgain, match="told to stop"):
        terminated(held)
    assert held
    assert signal.getsignal(signal.SIGTERM) is before
