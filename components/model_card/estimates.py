"""A figure with its interval, as the page writes it, and figures of any depth as lines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; where `value` is None, `why` says what it lacks."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None

    @classmethod
    def of(cls, figure: Mapping[str, Any] | None) -> "Estimate":
        """From a metrics file's `{"value", "low", "high", "why"}`.

        Raises:
            TypeError: one of them is no number.
        """
        figure = figure or {}
        value = figure.get("value")
        for number in (value, figure.get("low"), figure.get("high")):
            if not isinstance(number, int | float | None):
                raise TypeError(f"{number!r} is no number")
        return cls(value, figure.get("low"), figure.get("high"), figure.get("why") if value is None else None)

    @property
    def verdict(self) -> str | None:
        """Of a difference, what its interval says; None where there is no interval."""
        if self.low is None or self.high is None:
            return None
        return "better" if self.low > 0 else "worse" if self.high < 0 else "does not differ"

    def __str__(self) -> str:
        if self.value is None:
            return self.why or "too few cases"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def readable(figures: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every single value of nested figures as a line: its path in words, and itself; lists of mappings left out."""
    if isinstance(figures, Mapping):
        for key, value in figures.items():
            yield from readable(value, f"{prefix}, {key}" if prefix else str(key))
    elif isinstance(figures, bool):
        yield prefix.replace("_", " "), "yes" if figures else "no"
    elif isinstance(figures, int):
        yield prefix.replace("_", " "), f"{figures:,}"
    elif isinstance(figures, float):
        yield prefix.replace("_", " "), f"{figures:.4g}"
    elif isinstance(figures, str):
        yield prefix.replace("_", " "), figures
    elif isinstance(figures, list) and all(isinstance(value, str | int | float) for value in figures):
        yield prefix.replace("_", " "), ", ".join(str(value) for value in figures)
