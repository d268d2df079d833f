"""A metrics file, and what is said where it lacks what the page shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core.records.whole import read_json


@contextmanager
def written(path: Path) -> Iterator[Any]:
    """The content of a metrics file, for a block that takes figures from it.

    Raises:
        ValueError: the file is missing or damaged, or is not of the form that the block wants.
    """
    content = read_json(path)
    try:
        yield content
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not as its stage writes it ({error!r}): run the stage again") from error
