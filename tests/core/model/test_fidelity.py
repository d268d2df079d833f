"""The published form against the oracle in float64: forward, five losses, every gradient; and where dropout is."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from components.core.model import Config, MedSLIP, Mends
from components.core.model.losses import compute_losses, draw_negatives
from components.core.model.published import IMAGE_SIZE, SIZES, from_published, published_names, to_published
from components.core.params import Model, Trunk
from tests import small_model
from tests.core.model.oracle import Published, existence_targets

KINDS = pytest.mark.parametrize("kind", ["bottleneck", "basic"])
MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
NEGATIVES = 3
STEM, DEPTHS, CHANNELS, WIDTH, LAYERS, HEADS = 8, (2, 2, 1), (16, 32, 48), 16, 2, 4


def books() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    shapes = (small_model.PATHOLOGIES, small_model.TEXT_WIDTH), (small_model.ANATOMIES, small_model.TEXT_WIDTH)
    t_p, t_a = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return t_p, t_a


def published(kind: str = "bottleneck", dropout: float = 0.0) -> Published:
    """An oracle whose every tensor is drawn, biases and running statistics too."""
    torch.manual_seed(3)
    sizes = {"stem": STEM, "depths": DEPTHS, "sizes": CHANNELS, "width": WIDTH, "layers": LAYERS, "heads": HEADS}
    oracle = Published(*books(), kind=kind, dropout=dropout, **sizes).double()  # type: ignore[arg-type]
    for name, tensor in oracle.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(torch.randn_like(tensor), alpha=0.2)
    return oracle


def sizes_of(kind: str, dropout: float = 0.0) -> Model:
    trunk = Trunk(depths=DEPTHS, hidden_sizes=CHANNELS, embedding_size=STEM, layer_type=kind)  # type: ignore[arg-type]
    return Model(trunk=trunk, width=WIDTH, decoder_layers=LAYERS, heads=HEADS, dropout=dropout)


def ours(oracle: Published, kind: str = "bottleneck", dropout: float = 0.0) -> MedSLIP:
    torch.set_default_dtype(torch.float64)  # the oracle's weights, not rounded
    try:
        return from_published(oracle.state_dict(), *books(), sizes=sizes_of(kind, dropout))
    finally:
        torch.set_default_dtype(torch.float32)


def assert_same(mine: Tensor, expected: Tensor, scale: float = 0.0) -> None:
    """To 1e-6 of the value; a value that is all but cancelled, to 1e-9 of its tensor's or the given scale."""
    torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-9 * max(float(expected.detach().abs().max()), scale))


@KINDS
@MODES
def test_outputs_are_the_published_ones(kind: str, training: bool) -> None:
    oracle = published(kind).train(training)
    model = ours(oracle, kind).train(training)
    expected, outputs = oracle(small_model.images(3)), model(small_model.images(3), attention=True)
    for name, mine in {
        "z_p": outputs.z_p_BPD,
        "z_a": outputs.z_a_BAD,
        "logits_p": outputs.existence_p_BP2,
        "logits_a": outputs.existence_a_BA2,
        "presence": outputs.presence_BP,
        "place": outputs.place_BAP,
        "maps_p": outputs.attention_p_BLPN,
        "maps_a": outputs.attention_a_BLAN,
    }.items():
        assert mine is not None
        assert mine.dtype == torch.float64, name
        assert_same(mine, expected[name])
    for name, tensor in model.state_dict().items():  # running statistics, too
        if not name.startswith("book_"):
            assert_same(tensor, oracle.state_dict()[published_names(name)[0]])


@KINDS
@MODES
def test_losses_and_every_gradient_are_the_published_ones(kind: str, training: bool) -> None:
    labels_BAP = small_model.labels(3)
    for targets in existence_targets(labels_BAP):
        assert set(targets.unique().tolist()) == {-1, 0, 1}  # present, absent, and in no sentence of a study
    generator = torch.Generator().manual_seed(5)
    drawn_p = draw_negatives((labels_BAP == 1).transpose(1, 2), NEGATIVES, generator)
    drawn_a = draw_negatives(labels_BAP == 1, NEGATIVES, generator)
    oracle = published(kind).train(training)
    model = ours(oracle, kind).train(training)
    expected = oracle.losses(small_model.images(3), labels_BAP, drawn_p, drawn_a)
    mine = compute_losses(
        model(small_model.images(3)), labels_BAP, NEGATIVES, generator=torch.Generator().manual_seed(5)
    )
    assert vars(mine).keys() == expected.keys()
    theirs, places = dict(oracle.named_parameters()), dict(model.named_parameters())
    # The shared norm has one name in named_parameters; attention's and all others' are one to one.
    pairs = [(places[name], next(theirs[p] for p in published_names(name) if p in theirs)) for name in places]
    assert len(pairs) == len(theirs)
    for name, term in expected.items():
        assert_same(vars(mine)[name], term)
        gradients = [
            torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
            for loss, weights in ((vars(mine)[name], [a for a, _ in pairs]), (term, [b for _, b in pairs]))
        ]
        largest = max(float(gradient.abs().max()) for gradient in gradients[1])
        for my_gradient, gradient in zip(*gradients, strict=True):
            assert_same(my_gradient, gradient, scale=largest * 1e-3)
    prototype = expected["prototype_p"] + expected["prototype_a"]
    existence = expected["existence_p"] + expected["existence_a"]
    assert_same(mine.total(0.3, 0.7), existence + 0.3 * prototype + 0.7 * expected["relation"])


def scaled(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Stands for dropout: what it passes is known."""
    return values * (1 + p) if training else values


@MODES
def test_dropout_is_where_the_published_model_has_it(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "dropout", scaled)
    labels_BAP = small_model.labels(3)
    generator = torch.Generator().manual_seed(5)
    drawn_p = draw_negatives((labels_BAP == 1).transpose(1, 2), NEGATIVES, generator)
    drawn_a = draw_negatives(labels_BAP == 1, NEGATIVES, generator)
    oracle = published(dropout=0.1).train(training)
    model = ours(oracle, dropout=0.1).train(training)
    expected, outputs = oracle(small_model.images(3)), model(small_model.images(3))
    for name, mine in {"z_p": outputs.z_p_BPD, "z_a": outputs.z_a_BAD, "place": outputs.place_BAP,
                       "logits_p": outputs.existence_p_BP2, "logits_a": outputs.existence_a_BA2}.items():  # fmt: skip
        assert_same(mine, expected[name])
    mine = compute_losses(outputs, labels_BAP, NEGATIVES, generator=torch.Generator().manual_seed(5))
    for name, term in oracle.losses(small_model.images(3), labels_BAP, drawn_p, drawn_a).items():
        assert_same(vars(mine)[name], term)


def test_published_sizes_have_426_entries_and_21237572_parameters() -> None:
    model = MedSLIP(published_config(), torch.zeros(75, 768), torch.zeros(51, 768))
    exported = to_published(model)
    assert len(exported) == 426
    assert sum(parameter.numel() for parameter in model.parameters()) == 21_237_572
    oracle = Published(torch.zeros(75, 768), torch.zeros(51, 768))
    assert sum(parameter.numel() for parameter in oracle.parameters()) == 21_237_572
    assert {name: tensor.shape for name, tensor in exported.items()} == {
        name: tensor.shape for name, tensor in oracle.state_dict().items()
    }


def published_config() -> Config:
    return Config(image_size=IMAGE_SIZE, text_width=768, model=SIZES, mends=Mends())
