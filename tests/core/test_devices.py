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
    assert precision_of("32-true", torch.device("cpu")) == "32-true"  # who says so gets it


def test_a_precision_that_a_cpu_does_not_have_is_refused() -> None:
    assert precision_of("16-mixed", torch.device("cuda")) == "16-mixed"
    with pytest.raises(ValueError, match="16-mixed needs a GPU: auto, bf16-mixed or 32-true is allowed on a CPU"):
        precision_of("16-mixed", torch.device("cpu"))
