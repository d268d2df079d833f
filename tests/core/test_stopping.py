"""What is told to stop ends where it may: TERM waits, and of two interrupts the second does not."""

import os
import signal

import pytest

from components.core.stopping import told_to_stop


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
