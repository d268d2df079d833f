"""Simpler ways of pretraining on the same trunk and input, to hold MeDSLIP against.

Each answers what MeDSLIP answers, so that every evaluation runs on it unchanged. Where a form has no attention, its map
is a class-activation map: the patches are pooled by their mean and everything after is linear, so that the answer is
exactly the mean of what each patch contributes (Zhou et al., arXiv 1512.04150). Where it knows no places, every anatomy
is as likely as any other, and is looked for everywhere alike.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.model.config import Config
from components.core.model.decoder import Decoder
from components.core.model.form import VisionLanguageModel, initialise
from components.core.model.medslip import prototype_logits
from components.core.model.streams import Positions, Stream
from components.core.model.trunk import STRIDE
from components.core.records.labels import ABSENT, PRESENT

CONTRAST_TEMPERATURE = 0.1  # of the published ConVIRT


@dataclass(frozen=True)
class BaselineOutputs:
    """What one forward pass of a baseline gives.

    Attributes:
        existence_p_BP2: logits of absent and present.
        place_BAP: probability of each anatomy for each pathology.
        attention_p_BLPN, attention_a_BLAN: maps that sum to 1 over the patches; None unless asked for.
        grid: rows and columns of the N patches.
    """

    existence_p_BP2: Tensor
    place_BAP: Tensor
    attention_p_BLPN: Tensor | None
    attention_a_BLAN: Tensor | None
    grid: tuple[int, int]

    @property
    def presence_BP(self) -> Tensor:
        """Probability of each pathology (zero-shot classification)."""
        return self.existence_p_BP2.float().softmax(-1)[..., 1]


@dataclass(frozen=True)
class OneStreamOutputs(BaselineOutputs):
    """With `prototype_p_BPA`, the logit of each pathology against each entry of the book of anatomies."""

    prototype_p_BPA: Tensor


@dataclass(frozen=True)
class GlobalOutputs(BaselineOutputs):
    """With `image_BD`, the embedding of the whole image, of length 1."""

    image_BD: Tensor


def activation_maps(contributions_BPN: Tensor) -> Tensor:
    """What each patch contributes, as maps [B, 1, P, N] like those of attention: from 0 on, summing to 1."""
    above_BPN = contributions_BPN - contributions_BPN.amin(-1, keepdim=True)
    return (above_BPN / above_BPN.sum(-1, keepdim=True).clamp(min=1e-12)).unsqueeze(1)


class Baseline(VisionLanguageModel):
    """One stream of patches from the trunk: L2(ReLU(L1(x))), normalised where MeDSLIP's are."""

    def __init__(self, config: Config, pathologies_PT: Tensor, anatomies_AT: Tensor) -> None:
        super().__init__(config, pathologies_PT, anatomies_AT)
        self.stream = Stream(self.trunk.channels, config.model.width, config.mends.normalised_patches)

    def patches(self, images_B1HW: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patches [B, N, D] of images with grey levels 0 to 255, and their grid."""
        patches_BNC, grid = self.trunk_patches(images_B1HW)
        return self.stream(patches_BNC), grid

    def anywhere(self, patches_BND: Tensor, asked: tuple[int, int], maps: bool) -> tuple[Tensor, Tensor | None]:
        """What a form that knows no anatomy says of places: `place_BAP` and the anatomies' maps, all alike.

        Args:
            patches_BND: of the images.
            asked: how many pathologies and anatomies are asked for.
            maps: whether maps are asked for.
        """
        (batch, count, _), (pathologies, anatomies) = patches_BND.shape, asked
        place_BAP = patches_BND.new_full((batch, anatomies, pathologies), 1 / anatomies)
        return place_BAP, patches_BND.new_full((batch, 1, anatomies, count), 1 / count) if maps else None


class OneStream(Baseline):
    """Pathologies ask the patches, anatomies are only told apart by ProtoCL: the form of MedKLIP.

    Source: Wu et al., MedKLIP, arXiv 2301.02228: no mask, no anatomy stream, no ICL.
    """

    def __init__(self, config: Config, pathologies_PT: Tensor, anatomies_AT: Tensor) -> None:
        super().__init__(config, pathologies_PT, anatomies_AT)
        sizes = config.model
        self.query = nn.Linear(config.text_width, sizes.width)
        self.decoder_p = Decoder(sizes.width, sizes.heads, sizes.decoder_layers, sizes.dropout)
        self.norm = nn.LayerNorm(sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.existence_p = nn.Linear(sizes.width, 2)
        self.contrast_p = nn.Linear(sizes.width, config.text_width)
        initialise(self, config.mends.scaled_start)
        self.positions = Positions(config.image_size // STRIDE, sizes.width) if config.mends.positions else None

    def forward(
        self,
        images_B1HW: Tensor,
        pathologies_PT: Tensor | None = None,
        anatomies_AT: Tensor | None = None,
        attention: bool = False,
    ) -> OneStreamOutputs:
        """Ask the images for every term (see `VisionLanguageModel`)."""
        book_p_PT, book_a_AT = self.asked(pathologies_PT, anatomies_AT)
        patches_BND, grid = self.patches(images_B1HW)
        _, attention_a_BLAN = self.anywhere(patches_BND, (len(book_p_PT), len(book_a_AT)), attention)
        if self.positions is not None:
            patches_BND = self.positions(patches_BND, grid)
        decoded_BPD, attention_BLPN = self.decoder_p(self.query(book_p_PT), patches_BND, attention)
        z_BPD = self.dropout(self.norm(decoded_BPD))
        prototype_BPA = prototype_logits(z_BPD, self.contrast_p, book_a_AT, self.config.mends.temperature)
        return OneStreamOutputs(
            existence_p_BP2=self.existence_p(z_BPD),
            place_BAP=prototype_BPA.float().softmax(-1).transpose(1, 2),
            attention_p_BLPN=attention_BLPN,
            attention_a_BLAN=attention_a_BLAN,
            grid=grid,
            prototype_p_BPA=prototype_BPA,
        )


class Supervised(Baseline):
    """The labels without any text: a linear head on the mean of the patches. It can be asked for no other terms."""

    knows_text = False

    def __init__(self, config: Config, pathologies_PT: Tensor, anatomies_AT: Tensor) -> None:
        super().__init__(config, pathologies_PT, anatomies_AT)
        self.head = nn.Linear(config.model.width, 2 * len(pathologies_PT))
        initialise(self, config.mends.scaled_start)

    def answers(self, pooled: Tensor) -> Tensor:
        """Logits [..., P, 2] of absent and present, from patches or means of patches [..., D]."""
        return torch.stack(self.head(pooled).chunk(2, -1), -1)

    def forward(
        self,
        images_B1HW: Tensor,
        pathologies_PT: Tensor | None = None,
        anatomies_AT: Tensor | None = None,
        attention: bool = False,
    ) -> BaselineOutputs:
        """Answer for the vocabulary (see `VisionLanguageModel`).

        Raises:
            ValueError: other terms are asked for.
        """
        if pathologies_PT is not None or anatomies_AT is not None:
            raise ValueError("a model trained on labels alone knows no text: it answers for its own vocabulary only")
        patches_BND, grid = self.patches(images_B1HW)
        place_BAP, maps_a_BLAN = self.anywhere(patches_BND, (len(self.book_p_PT), len(self.book_a_AT)), attention)
        return BaselineOutputs(
            existence_p_BP2=self.answers(patches_BND.mean(1)),
            place_BAP=place_BAP,
            attention_p_BLPN=(
                activation_maps(self.answers(patches_BND).diff(dim=-1).squeeze(-1).transpose(1, 2))
                if attention
                else None
            ),
            attention_a_BLAN=maps_a_BLAN,
            grid=grid,
        )


class ReportEncoder(nn.Module):
    """The report as one vector, from what was found in it: a clause for each pathology that it states or denies.

    The text of a report never reaches the pretraining, only its findings do. A clause says "this pathology is present
    (absent) at these anatomies", in the books' encodings; the report is the mean of its clauses. So it follows the
    labels wherever they go, to the other side with a flip too.
    """

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.pathology = nn.Linear(text_width, width)
        self.anatomy = nn.Linear(text_width, width, bias=False)
        self.presence = nn.Linear(1, width, bias=False)
        self.project = nn.Linear(width, width)

    def clauses(self, pathologies_PT: Tensor, place_BPD: Tensor, presence: int) -> Tensor:
        """The clauses [B, P, D] of every pathology at the mean place that is given for each."""
        sign_1D = self.presence(pathologies_PT.new_full((1, 1), 1.0 if presence == PRESENT else -1.0))
        return functional.relu(self.pathology(pathologies_PT) + place_BPD + sign_1D)

    def embedding(self, clauses: Tensor) -> Tensor:
        """Vectors of length 1, [..., D], of clauses or of means of clauses."""
        return functional.normalize(self.project(clauses).float(), dim=-1)

    def forward(self, labels_BAP: Tensor, pathologies_PT: Tensor, anatomies_AT: Tensor) -> Tensor:
        """The embeddings [B, D] of reports with these labels; what is uncertain is left out."""
        place_AD = self.anatomy(anatomies_AT)
        totals, counts = [], []
        for presence in (ABSENT, PRESENT):
            where_BPA = (labels_BAP == presence).transpose(1, 2).to(place_AD.dtype)
            places_BP = where_BPA.sum(-1)
            place_BPD = (where_BPA @ place_AD) / places_BP.clamp(min=1).unsqueeze(-1)
            said_BP1 = (places_BP > 0).to(place_AD.dtype).unsqueeze(-1)
            totals.append((self.clauses(pathologies_PT, place_BPD, presence) * said_BP1).sum(1))
            counts.append(said_BP1.sum(1))
        return self.embedding(torch.stack(totals).sum(0) / torch.stack(counts).sum(0).clamp(min=1))


class GlobalContrast(Baseline):
    """The whole image against the whole report: the form of ConVIRT (Zhang et al., arXiv 2010.00747).

    Zero-shot, an image is compared with two prompts a pathology, the reports that only state it, or only deny it,
    anywhere.
    """

    def __init__(self, config: Config, pathologies_PT: Tensor, anatomies_AT: Tensor) -> None:
        super().__init__(config, pathologies_PT, anatomies_AT)
        self.project = nn.Linear(config.model.width, config.model.width)
        self.report = ReportEncoder(config.text_width, config.model.width)
        initialise(self, config.mends.scaled_start)

    def encode_reports(self, labels_BAP: Tensor) -> Tensor:
        """Embeddings [B, D] of the reports with these labels."""
        return self.report(labels_BAP, self.book_p_PT, self.book_a_AT)

    def prompts(self, pathologies_PT: Tensor, anatomies_AT: Tensor) -> Tensor:
        """Embeddings [P, D, 2] of the reports that deny, and that state, one pathology."""
        anywhere_D = self.report.anatomy(anatomies_AT).mean(0)
        clauses = [self.report.clauses(pathologies_PT, anywhere_D, presence) for presence in (ABSENT, PRESENT)]
        return torch.stack([self.report.embedding(clauses_PD) for clauses_PD in clauses], -1)

    def forward(
        self,
        images_B1HW: Tensor,
        pathologies_PT: Tensor | None = None,
        anatomies_AT: Tensor | None = None,
        attention: bool = False,
    ) -> GlobalOutputs:
        """Compare the images with the prompts of every term (see `VisionLanguageModel`)."""
        book_p_PT, book_a_AT = self.asked(pathologies_PT, anatomies_AT)
        patches_BND, grid = self.patches(images_B1HW)
        place_BAP, maps_a_BLAN = self.anywhere(patches_BND, (len(book_p_PT), len(book_a_AT)), attention)
        image_BD = functional.normalize(self.project(patches_BND.mean(1)).float(), dim=-1)
        prompts_PD2 = self.prompts(book_p_PT, book_a_AT)
        towards_PD = prompts_PD2.diff(dim=-1).squeeze(-1)
        return GlobalOutputs(
            existence_p_BP2=torch.einsum("bd,pde->bpe", image_BD, prompts_PD2) / CONTRAST_TEMPERATURE,
            place_BAP=place_BAP,
            attention_p_BLPN=(
                activation_maps(towards_PD @ self.project(patches_BND).float().transpose(1, 2)) if attention else None
            ),
            attention_a_BLAN=maps_a_BLAN,
            grid=grid,
            image_BD=image_BD,
        )
