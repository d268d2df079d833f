"""Which mends are in force: all that are asked for, and none where the published mathematics is."""

from typing import Any, Literal

import pytest
import torch

from components.core.model import MedSLIP, Mends, mends_of
from components.core.model.objective import terms_of
from components.core.params import Objective
from tests import small_model

EVERY = Mends(
    **{**dict(small_model.EVERY_MEND), "swapped_sides": True, "negatives_from": "absent", "positive_weight": 5.0}
)


def objective(fidelity: Literal["paper", "improved"], mends: Mends) -> Objective:
    return Objective(form="medslip", fidelity=fidelity, alpha=1.0, beta=1.0, negatives=3, mends=mends)


def losses(objective: Objective, model: MedSLIP) -> dict[str, torch.Tensor]:
    outputs, generator = model(small_model.images(3)), torch.Generator().manual_seed(5)
    return vars(terms_of(model, outputs, small_model.labels(3), objective, generator))


def test_the_published_form_has_none_whatever_is_asked_for() -> None:
    assert mends_of(objective("paper", EVERY)) == Mends()
    assert mends_of(objective("improved", EVERY)) == EVERY
    model = small_model.model(Mends())
    asked, none = (losses(objective("paper", mends), model) for mends in (EVERY, Mends()))
    assert all(torch.equal(asked[name], none[name]) for name in none)


@pytest.mark.parametrize(
    ("change", "terms"),
    [
        ({"positive_weight": 5.0}, {"existence_p", "existence_a"}),
        ({"negatives_from": "absent"}, {"prototype_p", "prototype_a"}),
        ({"temperature": 0.2}, {"prototype_p", "prototype_a"}),
        ({"scaled_relations": True}, {"relation"}),
        ({"swapped_sides": True}, set()),
    ],
)
def test_each_mend_of_the_losses_changes_its_terms_and_no_other(change: dict[str, Any], terms: set[str]) -> None:
    mends = Mends(**change)
    before = losses(objective("improved", Mends()), small_model.model(Mends()).eval())
    after = losses(objective("improved", mends), small_model.model(mends).eval())
    assert {name for name in before if not torch.equal(before[name], after[name])} == terms


@pytest.mark.parametrize("mend", ["bounded_mask", "positions", "normalised_patches", "scaled_start"])
def test_each_mend_of_the_model_changes_its_answers(mend: str) -> None:
    images = small_model.images(2)
    published, mended = (small_model.model(mends).eval()(images) for mends in (Mends(), Mends(**{mend: True})))
    assert not torch.equal(published.z_p_BPD, mended.z_p_BPD)
