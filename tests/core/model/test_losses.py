"""Our losses against the formulas, written out with loops in float64, term by term."""

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from components.core.model import MedSLIP, Mends, Outputs
from components.core.model.losses import (
    compute_losses,
    draw_negatives,
    excluded_as_negatives,
    existence_loss,
    existence_targets,
    prototype_loss,
    relation_loss,
)
from components.core.params import NegativesFrom
from tests import small_model
from tests.core.model import oracle

NEGATIVES = 3  # so few that every query of these small books has enough


def published_terms(model: MedSLIP, outputs: Outputs, labels_BAP: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    present_BAP = labels_BAP == 1
    drawn_p = draw_negatives(present_BAP.transpose(1, 2), NEGATIVES, generator)
    drawn_a = draw_negatives(present_BAP, NEGATIVES, generator)
    targets_BP, targets_BA = oracle.existence_targets(labels_BAP)
    z_p_BPD, z_a_BAD = outputs.z_p_BPD, outputs.z_a_BAD
    return {
        "existence_p": oracle.existence(model.existence_p(z_p_BPD), targets_BP),
        "existence_a": oracle.existence(model.existence_a(z_a_BAD), targets_BA),
        "prototype_p": oracle.prototype(
            z_p_BPD, model.contrast_p, model.book_a_AT, labels_BAP.transpose(1, 2), drawn_p
        ),
        "prototype_a": oracle.prototype(z_a_BAD, model.contrast_a, model.book_p_PT, labels_BAP, drawn_a),
        "relation": oracle.relation(z_a_BAD, z_p_BPD, labels_BAP),
    }


EMPTY = torch.full((3, small_model.ANATOMIES, small_model.PATHOLOGIES), -1, dtype=torch.int8)
BATCHES = {"mixed": small_model.labels(3), "nothing mentioned": EMPTY, "all absent": EMPTY * 0}


@pytest.mark.parametrize("labels_BAP", BATCHES.values(), ids=BATCHES)
def test_published_losses_and_gradients_are_the_formulas(labels_BAP: Tensor) -> None:
    model = small_model.model(Mends()).double()
    outputs = model(small_model.images(3))
    ours = vars(compute_losses(outputs, labels_BAP, NEGATIVES, generator=torch.Generator().manual_seed(5)))
    formulas = published_terms(model, outputs, labels_BAP)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    assert ours.keys() == formulas.keys()
    for name, expected in formulas.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-6, atol=1e-12)
        gradients = [
            torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
            for term in (ours[name], expected)
        ]
        for mine, formula in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, formula, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("mends", [Mends(), small_model.EVERY_MEND], ids=["paper", "improved"])
def test_batch_without_a_finding_gives_zero_and_finite_gradients(mends: Mends) -> None:
    model = small_model.model(mends)
    losses = compute_losses(model(small_model.images(3)), EMPTY, NEGATIVES)
    assert all(term.item() == 0 for term in vars(losses).values())
    losses.total(1, 1).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())


def test_total_weighs_the_terms() -> None:
    outputs = small_model.model(Mends())(small_model.images(2))
    losses = compute_losses(outputs, small_model.labels(2), NEGATIVES)
    existence, prototype = losses.existence_p + losses.existence_a, losses.prototype_p + losses.prototype_a
    torch.testing.assert_close(losses.total(0.5, 3.0), existence + 0.5 * prototype + 3 * losses.relation)


def test_a_positive_weight_leaves_probabilities_as_they_are() -> None:
    """Where a tenth of the targets is present, the best constant answer is a tenth, whatever the weight."""
    targets_BQ = torch.tensor([[1] * 2 + [0] * 18 + [-1] * 5])
    for weight in (1.0, 5.0):
        logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        descent = torch.optim.LBFGS([logit], max_iter=50, tolerance_grad=1e-10)

        def loss(weight: float = weight, logit: Tensor = logit, descent: torch.optim.Optimizer = descent) -> Tensor:
            descent.zero_grad()
            logits_BQ2 = torch.stack([torch.zeros(1, 25, dtype=torch.float64), logit.expand(1, 25)], -1)
            value = existence_loss(logits_BQ2, targets_BQ, weight)
            value.backward()
            return value

        descent.step(loss)
        assert logit.sigmoid().item() == pytest.approx(0.1, abs=1e-4)


def test_a_positive_weight_counts_a_present_entry_that_often() -> None:
    logits_BQ2 = torch.tensor([[[0.0, 1.0], [0.0, -2.0], [0.0, 3.0]]])
    shifted = torch.tensor([1.0, -2.0]) + torch.tensor(4.0).log()
    present, absent = functional.softplus(-shifted[0]), functional.softplus(shifted[1])
    loss = existence_loss(logits_BQ2, torch.tensor([[1, 0, -1]]), 4.0)
    torch.testing.assert_close(loss, (4 * present + absent) / 5)


def test_targets_prefer_present_to_absent_to_not_mentioned() -> None:
    labels_BAP = torch.tensor([[[1, 0, -1], [0, -1, -1]]], dtype=torch.int8)
    targets_BP, targets_BA = existence_targets(labels_BAP)
    assert targets_BP.tolist() == [[1, 0, -1]]
    assert targets_BA.tolist() == [[1, 0]]


def test_negatives_are_uniform_distinct_and_never_present() -> None:
    present_BQK = torch.tensor([True, True, False, False, False, False]).expand(20_000, 1, 6)
    drawn_BQM = draw_negatives(present_BQK, 2, torch.Generator().manual_seed(0))
    counts = Counter(tuple(sorted(pair)) for pair in drawn_BQM[:, 0].tolist())
    assert set(counts) == {(2, 3), (2, 4), (2, 5), (3, 4), (3, 5), (4, 5)}
    assert min(counts.values()) > 0.9 * 20_000 / 6


def test_negatives_known_absent_only_leave_out_what_no_report_denies() -> None:
    labels_BQK = torch.tensor([[[1, 0, 0, -1, -1, 2], [1, -1, -1, -1, -1, 2]]], dtype=torch.int8)
    logits_BQK = torch.randn(1, 2, 6, dtype=torch.float64)

    def loss(negatives_from: NegativesFrom) -> Tensor:
        excluded_BQK = excluded_as_negatives(labels_BQK, negatives_from)
        return prototype_loss(logits_BQK, labels_BQK == 1, draw_negatives(excluded_BQK, 5), excluded_BQK)

    def term(query: int, negatives: list[int]) -> Tensor:
        return functional.cross_entropy(logits_BQK[0, query, [0, *negatives]], torch.tensor(0))

    torch.testing.assert_close(loss("absent"), term(0, [1, 2]))  # the second query denies nothing
    everything = [1, 2, 3, 4]
    torch.testing.assert_close(loss("not_present"), (term(0, everything) + term(1, everything)) / 2)


def test_uncertain_mentions_are_half_present_and_in_no_prototype() -> None:
    labels_BAP = torch.tensor([[[2, 0, 1], [-1, 2, 2]]], dtype=torch.int8)
    targets_BP, targets_BA = existence_targets(labels_BAP)
    assert targets_BP.tolist() == [[0.5, 0.5, 1]]
    assert targets_BA.tolist() == [[1, 0.5]]
    both = functional.softplus(torch.tensor([2.0, -2.0])).mean()
    torch.testing.assert_close(existence_loss(torch.tensor([[[0.0, 2.0]]]), torch.tensor([[0.5]])), both)
    torch.testing.assert_close(relation_loss(torch.tensor([[[2.0]]]), torch.tensor([[[2]]], dtype=torch.int8)), both)
    assert excluded_as_negatives(labels_BAP, "not_present").tolist() == (labels_BAP > 0).tolist()


def test_too_few_absent_cells_leave_fewer_negatives() -> None:
    logits_BQK = torch.randn(1, 1, 4, dtype=torch.float64)
    present_BQK = torch.tensor([[[True, True, True, False]]])
    loss = prototype_loss(logits_BQK, present_BQK, draw_negatives(present_BQK, 3))
    positive, negative = logits_BQK[0, 0, :3].mean(), logits_BQK[0, 0, 3]
    expected = functional.cross_entropy(torch.stack([positive, negative]), torch.tensor(0))
    torch.testing.assert_close(loss, expected)


class Operators(TorchDispatchMode):
    """Counts every operator that runs in the block, backward passes included."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.boolean_indices = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = function.overloadpacket._qualified_op_name
        self.names[name] += 1
        if name.startswith(("aten::index", "aten::_unsafe_index")) and len(args) > 1 and isinstance(args[1], list):
            self.boolean_indices += any(index is not None and index.dtype == torch.bool for index in args[1])
        return function(*args, **(kwargs or {}))


WAITS_FOR_THE_DEVICE = {
    "aten::nonzero",
    "aten::item",
    "aten::_local_scalar_dense",
    "aten::masked_select",
    "aten::unique",
}


def test_the_count_sees_what_would_wait() -> None:
    with Operators() as seen:
        values = torch.tensor([1.0, -1.0])
        assert values[values > 0].sum().item() == 1
    assert seen.boolean_indices == 1
    assert "aten::_local_scalar_dense" in seen.names


@pytest.mark.parametrize("mends", [Mends(), small_model.EVERY_MEND], ids=["paper", "improved"])
def test_a_step_never_waits_for_the_device(mends: Mends) -> None:
    model = small_model.model(mends, dropout=0.1).train()
    images_B1HW, labels_BAP = small_model.images(4), small_model.labels(4)
    with Operators() as seen:
        compute_losses(model(images_B1HW), labels_BAP, NEGATIVES).total(1, 1).backward()
    assert not WAITS_FOR_THE_DEVICE & seen.names.keys()
    assert seen.boolean_indices == 0
    assert seen.names["aten::convolution_backward"] > 0
    assert sum(seen.names.values()) < 3000  # no loop over studies or terms
