"""The baselines answer as MeDSLIP does, come back from disk, and learn."""

from pathlib import Path

import pytest
import torch

from components.core.model import Config, Mends, VisionLanguageModel, build, load, save
from components.core.model.baselines import GlobalContrast, OneStream, Supervised, activation_maps
from components.core.model.forms import FORMS
from components.core.model.objective import contrast_loss, terms_of
from components.core.params import Form, Objective
from components.core.vocabulary import ANATOMIES, PATHOLOGIES
from tests import small_model

BASELINES: tuple[Form, ...] = ("one_stream", "global_contrast", "supervised")
EVERY = pytest.mark.parametrize("form", BASELINES)


def baseline(form: Form, mends: Mends = small_model.EVERY_MEND) -> VisionLanguageModel:
    torch.manual_seed(0)
    books = torch.randn(len(PATHOLOGIES), small_model.TEXT_WIDTH), torch.randn(len(ANATOMIES), small_model.TEXT_WIDTH)
    return build(Config(**{**dict(small_model.config(mends)), "form": form}), *books)


def labels(count: int) -> torch.Tensor:
    """Labels [B, A, P], of which few are mentioned."""
    draws = torch.rand(count, len(ANATOMIES), len(PATHOLOGIES), generator=torch.Generator().manual_seed(2))
    return (draws > 0.97).to(torch.int8) + (draws > 0.985).to(torch.int8) - 1


def test_every_form_has_its_class() -> None:
    assert set(FORMS) == {"medslip", *BASELINES}


@EVERY
def test_it_answers_as_medslip_does_and_comes_back_from_disk(form: Form, tmp_path: Path) -> None:
    model = baseline(form).eval()
    outputs = model(small_model.images(3), attention=True)
    assert outputs.grid == (4, 4)
    assert outputs.presence_BP.shape == (3, len(PATHOLOGIES))
    assert outputs.place_BAP.shape == (3, len(ANATOMIES), len(PATHOLOGIES))
    for maps_BLQN, terms in ((outputs.attention_p_BLPN, PATHOLOGIES), (outputs.attention_a_BLAN, ANATOMIES)):
        assert (maps_BLQN.shape[0], *maps_BLQN.shape[2:]) == (3, len(terms), 16)
        torch.testing.assert_close(maps_BLQN.sum(-1), torch.ones(maps_BLQN.shape[:-1]))
    assert model(small_model.images(3)).attention_p_BLPN is None
    save(model, tmp_path)
    again = load(tmp_path)
    assert type(again) is type(model)
    torch.testing.assert_close(again(small_model.images(3)).presence_BP, outputs.presence_BP, rtol=0, atol=0)


@EVERY
@pytest.mark.parametrize("mends", [Mends(), small_model.EVERY_MEND], ids=["paper", "improved"])
def test_its_loss_falls_on_a_few_images(form: Form, mends: Mends) -> None:
    model, images, labels_BAP = baseline(form, mends), small_model.images(6), labels(6)
    objective = Objective(form=form, fidelity="improved", alpha=1.0, beta=1.0, negatives=3, mends=mends)
    descent = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def step() -> float:
        terms = terms_of(model, model(images), labels_BAP, objective, torch.Generator().manual_seed(0))
        total = terms.total(1.0, 1.0)
        descent.zero_grad()
        total.backward()
        descent.step()
        return float(total.detach())

    losses = [step() for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]
    assert all(weight.grad is not None for weight in model.parameters())


def test_one_stream_has_no_anatomy_stream_and_says_where_by_protocl() -> None:
    model = baseline("one_stream")
    assert isinstance(model, OneStream)
    assert not any("decoder_a" in name or "mask" in name for name, _ in model.named_parameters())
    torch.testing.assert_close(model(small_model.images(2)).place_BAP.sum(1), torch.ones(2, len(PATHOLOGIES)))


def test_labels_alone_know_no_other_term() -> None:
    with pytest.raises(ValueError, match="knows no text: it answers for its own vocabulary only"):
        baseline("supervised")(small_model.images(1), pathologies_PT=torch.zeros(1, small_model.TEXT_WIDTH))


def test_a_map_is_where_the_answer_comes_from() -> None:
    """What the patches contribute adds up to the answer; the map is largest at the patch that says most."""
    model = baseline("supervised").eval()
    assert isinstance(model, Supervised)
    images = small_model.images(1)
    absent_NP, present_NP = model.head(model.patches(images)[0][0]).chunk(2, -1)
    outputs = model(images, attention=True)
    logits_P2, map_PN = outputs.existence_p_BP2[0], outputs.attention_p_BLPN[0, 0]
    torch.testing.assert_close((present_NP - absent_NP).mean(0), logits_P2[:, 1] - logits_P2[:, 0])
    assert map_PN.argmax(-1).tolist() == (present_NP - absent_NP).argmax(0).tolist()
    assert activation_maps(torch.zeros(1, 2, 4)).isfinite().all()


def test_a_report_is_the_clauses_of_its_findings() -> None:
    """Presence and place make another report; what is not mentioned or uncertain is not said."""
    model = baseline("global_contrast")
    assert isinstance(model, GlobalContrast)
    reports = torch.full((5, len(ANATOMIES), len(PATHOLOGIES)), -1, dtype=torch.int8)
    for place, (anatomy, value) in enumerate([(3, 1), (3, 0), (4, 1), (3, 1)]):
        reports[place, anatomy, 7] = value
    reports[3, 5, 9] = 2
    present_D, absent_D, elsewhere_D, with_doubt_D, nothing_D = model.encode_reports(reports)
    torch.testing.assert_close(with_doubt_D, present_D)
    for other_D in (absent_D, elsewhere_D, nothing_D):
        assert torch.dist(present_D, other_D) > 1e-3
    torch.testing.assert_close(present_D.norm(), torch.tensor(1.0))


def test_contrast_is_least_where_every_image_is_at_its_report() -> None:
    own = torch.eye(4)
    assert contrast_loss(own, own) < 1e-3
    assert contrast_loss(own, own.roll(1, 0)) > 9
