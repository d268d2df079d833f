"""How far a long work is, on stderr: a bar on a terminal, a line now and then in a log."""

import shutil
import sys
import time

BAR_SECONDS, LINE_SECONDS = 0.2, 15.0


class Progress:
    """Counts what is done of a known number of things.

    Args:
        title: what is worked on; it names no patient.
        total: how many things there are.
        unit: what they are called.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.terminal = sys.stderr.isatty()
        self.done = 0
        self.begun = self.shown = time.monotonic()

    def __call__(self) -> None:
        """One more is done."""
        self.done += 1
        now = time.monotonic()
        if self.done == self.total or now - self.shown > (BAR_SECONDS if self.terminal else LINE_SECONDS):
            self.shown = now
            self._show(now - self.begun)

    def _show(self, seconds: float) -> None:
        rate = self.done / max(seconds, 1e-9)
        left = duration((self.total - self.done) / rate)
        told = f"{self.done}/{self.total} {self.unit}, {rate:.1f} a second, {left} left"
        if not self.terminal:
            print(f"{self.title}: {told}", file=sys.stderr, flush=True)
            return
        room = max(0, min(40, shutil.get_terminal_size().columns - len(self.title) - len(told) - 7))
        filled = room * self.done // self.total
        end = "\n" if self.done == self.total else ""
        bar = "█" * filled + "░" * (room - filled)
        print(f"\r{self.title} {bar} {told}\033[K", end=end, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A time as people say it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """A number of bytes as people say it: 3.2 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
