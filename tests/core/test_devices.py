"""In which precision a device computes where nobody says so."""

import pytest
import torch

from components.core.devices import precision_of


@pytest.mark.parametrize(
    ("able", "precision"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "32-true"),  # where bf16 would be emulated
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"architecture": "aarch64", "bf16": True}, "bf16-mixed"),
    ],
)
def test_a_cpu_computes_in_bf16_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, object], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert precision_of("auto", torch.device("cpu")) == precision
    assert precision_of("16-mixed", torch.device("cpu")) == "16-mixed"  # who says so gets it
