"""The model: shapes, the published sizes, open vocabulary, what each mend changes."""

import pytest
import torch
from torch import nn

from components.core.model import MedSLIP, Mends
from components.core.model.attention import Attention
from components.core.model.streams import positional_encoding
from tests import small_model
from tests.small_model import ANATOMIES, EVERY_MEND, PATHOLOGIES, TEXT_WIDTH, WIDTH

BOTH = pytest.mark.parametrize("mends", [Mends(), EVERY_MEND], ids=["paper", "improved"])


@BOTH
def test_outputs_have_the_declared_axes(mends: Mends) -> None:
    outputs = small_model.model(mends).eval()(small_model.images(3), attention=True)
    assert outputs.grid == (4, 4)
    assert outputs.z_p_BPD.shape == (3, PATHOLOGIES, WIDTH)
    assert outputs.z_a_BAD.shape == (3, ANATOMIES, WIDTH)
    assert outputs.existence_a_BA2.shape == (3, ANATOMIES, 2)
    assert outputs.prototype_p_BPA.shape == (3, PATHOLOGIES, ANATOMIES)
    assert outputs.prototype_a_BAP.shape == (3, ANATOMIES, PATHOLOGIES)
    assert outputs.relation_BAP.shape == outputs.place_BAP.shape == (3, ANATOMIES, PATHOLOGIES)
    assert outputs.presence_BP.shape == (3, PATHOLOGIES)
    assert outputs.attention_p_BLPN is not None
    assert outputs.attention_a_BLAN is not None
    assert outputs.attention_p_BLPN.shape == (3, 2, PATHOLOGIES, 16)
    assert outputs.attention_a_BLAN.shape == (3, 2, ANATOMIES, 16)
    torch.testing.assert_close(outputs.attention_p_BLPN.sum(-1), torch.ones(3, 2, PATHOLOGIES))


def test_images_are_three_equal_channels_with_imagenet_mean_and_deviation() -> None:
    trunk = small_model.model(Mends()).trunk
    grey = torch.full((1, 1, 64, 64), 51, dtype=torch.uint8)
    expected = [(0.2 - mean) / deviation for mean, deviation in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    torch.testing.assert_close(trunk.normalise(grey)[0, :, 5, 7], torch.tensor(expected))
    torch.testing.assert_close(trunk.normalise(grey), trunk.normalise(grey.float()))


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 60, 64)], ids=["colour", "side"])
def test_images_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one channel and sides that are multiples of 16"):
        small_model.model(Mends())(torch.zeros(shape))


def test_a_book_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="book of anatomies has shape"):
        MedSLIP(small_model.config(Mends()), torch.zeros(4, TEXT_WIDTH), torch.zeros(4, TEXT_WIDTH + 1))


@BOTH
def test_queries_can_be_given(mends: Mends) -> None:
    """Open vocabulary: the model answers for the terms that it is given, as for those of its book."""
    model = small_model.model(mends).eval()
    images = small_model.images(2)
    same = model(images, pathologies_PT=model.book_p_PT)
    torch.testing.assert_close(same.presence_BP, model(images).presence_BP)
    assert model(images, pathologies_PT=torch.randn(2, TEXT_WIDTH)).presence_BP.shape == (2, 2)
    assert model(images, anatomies_AT=torch.randn(3, TEXT_WIDTH)).place_BAP.shape == (2, 3, PATHOLOGIES)


def test_attention_is_multi_head_attention() -> None:
    """Against torch's own, in values, weights and gradients; the batch of one query set is broadcast."""
    torch.manual_seed(0)
    ours, theirs = Attention(16, 4, 0.0), nn.MultiheadAttention(16, 4, batch_first=True)
    nn.init.normal_(ours.in_proj_bias)
    theirs.load_state_dict(ours.state_dict())
    queries_BQD, keys_BND = torch.randn(1, 5, 16, requires_grad=True), torch.randn(3, 7, 16)
    mine, mine_weights = ours(queries_BQD, keys_BND)
    expected, expected_weights = theirs(queries_BQD.expand(3, -1, -1), keys_BND, keys_BND)
    torch.testing.assert_close(mine, expected)
    torch.testing.assert_close(mine_weights.mean(1), expected_weights)
    gradients = [torch.autograd.grad(value.square().sum(), queries_BQD)[0] for value in (mine, expected)]
    torch.testing.assert_close(*gradients)


def test_published_mask_is_unbounded_and_divides_the_patches() -> None:
    streams = small_model.model(Mends()).streams
    x_BNC = torch.randn(2, 3, 16)
    mask_BNC = x_BNC @ streams.mask.weight.T + streams.mask.bias
    seen_p, seen_a = streams(x_BNC)
    for seen, share_BNC, stream in ((seen_p, mask_BNC, streams.pathology), (seen_a, 1 - mask_BNC, streams.anatomy)):
        hidden = torch.relu((share_BNC * x_BNC) @ stream.first.weight.T + stream.first.bias)
        torch.testing.assert_close(seen, hidden @ stream.second.weight.T + stream.second.bias)


def test_without_positions_the_order_of_patches_is_not_seen() -> None:
    """The published model cannot tell left from right beyond what the trunk saw; the positional encoding can."""
    for mends, tells in ((Mends(), False), (Mends(positions=True), True)):
        model = small_model.model(mends).eval()
        for weight in model.decoder_p.parameters():
            weight.data *= 20  # at the start, attention is the same everywhere
        patches_BCHW = torch.randn(1, 16, 4, 4)
        answers = []
        for patches in (patches_BCHW, patches_BCHW.flip(-1)):
            model.trunk.forward = lambda images, patches=patches: patches  # type: ignore[method-assign]
            answers.append(model(small_model.images(1)).existence_p_BP2)
        assert torch.allclose(*answers, atol=1e-5) is not tells


def test_positions_are_distinct_and_fit_any_grid() -> None:
    positions_ND = positional_encoding(10, 10, 64)
    distances = torch.cdist(positions_ND, positions_ND) + torch.eye(100) * 9
    assert distances.min() > 0.3
    model = small_model.model(EVERY_MEND).eval()
    assert model(small_model.images(1, size=96)).grid == (6, 6)


def test_normalised_prototypes_are_cosines_over_the_temperature() -> None:
    outputs = small_model.model(Mends(temperature=0.25))(small_model.images(2))
    assert outputs.prototype_p_BPA.abs().max() <= 4.0001


def test_dropout_draws_for_every_image() -> None:
    model = small_model.model(Mends(), dropout=0.5).train()
    model.trunk.eval()
    z_BPD = model(small_model.images(1).expand(2, -1, -1, -1)).z_p_BPD
    assert not torch.allclose(z_BPD[0], z_BPD[1])


def test_weights_start_as_published_or_at_the_scale_of_their_inputs() -> None:
    for mends, hidden, projected in ((Mends(), 0.02, 0.02), (Mends(scaled_start=True), 64**-0.5, 16**-0.5)):
        layer = small_model.model(mends).decoder_p.layers[0]
        assert layer.contract.weight.std().item() == pytest.approx(hidden, rel=0.1)
        assert layer.cross_attention.in_proj_weight.std().item() == pytest.approx(projected, rel=0.1)


def test_normalised_patches_reach_the_decoders_at_unit_scale() -> None:
    """At the published start, they are hundreds of times smaller than the queries."""
    x_BNC = torch.rand(2, 5, 16)
    for patches_BND in small_model.model(EVERY_MEND).streams(x_BNC):
        torch.testing.assert_close(patches_BND.std(-1, correction=0), torch.ones(2, 5), rtol=0, atol=0.01)
    stream = small_model.model(Mends()).streams.pathology
    published_BND = stream(x_BNC) - stream.second.bias
    assert published_BND.std() < 0.01
