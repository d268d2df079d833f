"""How many processes or threads a stage may use: where and how fast, never what comes out."""

import os

WORKERS_VARIABLE = "MEDSLIP_WORKERS"


def worker_count() -> int:
    """The number that MEDSLIP_WORKERS gives, else the cores of the machine.

    Raises:
        ValueError: the variable is not a whole number of at least 1.
    """
    given = os.environ.get(WORKERS_VARIABLE)
    if not given:
        return os.cpu_count() or 1
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"{WORKERS_VARIABLE} is {given!r}: it must be a whole number of at least 1")
    return int(given)
