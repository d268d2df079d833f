"""Elements that an object may have or lack: a malformed one counts as lacking, it must not cost the image."""

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence


def optional(dataset: Dataset, keyword: str) -> Any:
    """The value of an element, or None where it is missing, empty, or not what its VR allows."""
    try:
        return dataset.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom converts on access and meets bad values with whatever they lead to
        return None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is missing, or written as something else."""
    value = optional(dataset, keyword)
    return list(value) if isinstance(value, Sequence) else []


def text(dataset: Dataset, keyword: str) -> str:
    """The value as text without outer blanks; empty where there is none."""
    value = optional(dataset, keyword)
    return "" if value is None else str(value).strip()


def number(value: object) -> float | None:
    """A finite number, or None for anything else."""
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return result if abs(result) < float("inf") else None


def numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """The values of an element with one or several numbers."""
    value = optional(dataset, keyword)
    if value is None:
        return []
    return [number(one) for one in ([value] if isinstance(value, str | int | float) else value)]
