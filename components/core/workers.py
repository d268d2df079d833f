"""How many processes or threads a stage may use: where and how fast, never what comes out."""

import os

WORKERS_VARIABLE = "MEDSLIP_WORKERS"


def whole_number(variable: str, default: int) -> int:
    """The number that an environment variable gives.

    Raises:
        ValueError: the variable is not a whole number of at least 1.
    """
    given = os.environ.get(variable)
    if not given:
        return default
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"{variable} is {given!r}: it must be a whole number of at least 1")
    return int(given)


def worker_count() -> int:
    """The number that MEDSLIP_WORKERS gives, else the cores of the machine (see `whole_number`)."""
    return whole_number(WORKERS_VARIABLE, os.cpu_count() or 1)
