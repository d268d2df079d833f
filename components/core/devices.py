"""Where tensors are computed: the environment says so, since it does not belong to what is computed."""

import os

import torch

from components.core.workers import whole_number

DEVICE_VARIABLE = "MEDSLIP_DEVICE"
PROCESSES_VARIABLE = "MEDSLIP_PROCESSES"
NODES_VARIABLE = "MEDSLIP_NODES"


def device() -> torch.device:
    """The device that MEDSLIP_DEVICE names: auto (the default) is a GPU where there is one, else the CPU.

    Raises:
        ValueError: the variable names something else, or a GPU where there is none.
    """
    name = os.environ.get(DEVICE_VARIABLE) or "auto"
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"{DEVICE_VARIABLE} is {name!r}: auto, cpu or cuda is allowed")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{DEVICE_VARIABLE} is cuda, but there is no GPU: auto or cpu is allowed here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def precision_of(named: str, place: torch.device) -> str:
    """Lightning's name of a precision; auto is bf16-mixed where the device multiplies in bf16, else 32-true.

    Elsewhere bf16 is emulated: on a CPU with AVX2 alone a step then takes ten times as long as in float32.

    Raises:
        ValueError: 16-mixed is wanted of a CPU.
    """
    if named == "16-mixed" and place.type == "cpu":
        raise ValueError("the precision 16-mixed needs a GPU: auto, bf16-mixed or 32-true is allowed on a CPU")
    if named != "auto":
        return named
    if place.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        native = any(able.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))  # bf16: as ARM calls it
    return "bf16-mixed" if native else "32-true"


def process_count(default: int) -> int:
    """How many processes of this machine train together, as MEDSLIP_PROCESSES says: one a GPU.

    Raises:
        ValueError: the variable is not a whole number of at least 1.
    """
    return whole_number(PROCESSES_VARIABLE, default)


def node_count() -> int:
    """How many machines train together, as MEDSLIP_NODES says; 1 where it says nothing.

    Raises:
        ValueError: the variable is not a whole number of at least 1.
    """
    return whole_number(NODES_VARIABLE, 1)
