"""The model: images and books to what is there, where, and how the two belong together."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.model.config import Config
from components.core.model.decoder import Decoder
from components.core.model.form import VisionLanguageModel, initialise
from components.core.model.streams import Positions, Streams
from components.core.model.trunk import STRIDE


def full_precision(logits: Tensor) -> Tensor:
    """Half-precision logits as float32; others as they are."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


@dataclass(frozen=True)
class Outputs:
    """What one forward pass gives.

    Attributes:
        z_p_BPD, z_a_BAD: the decoded queries of the two streams.
        existence_p_BP2, existence_a_BA2: logits of absent and present.
        prototype_p_BPA, prototype_a_BAP: ProtoCL's logit of each pathology against each entry of the book of
            anatomies, and the mirror image.
        relation_BAP: logit of "this pathology is at this anatomy".
        attention_p_BLPN, attention_a_BLAN: cross-attention of every decoder layer, averaged over heads; None unless
            asked for.
        grid: rows and columns of the N patches.
    """

    z_p_BPD: Tensor
    z_a_BAD: Tensor
    existence_p_BP2: Tensor
    existence_a_BA2: Tensor
    prototype_p_BPA: Tensor
    prototype_a_BAP: Tensor
    relation_BAP: Tensor
    attention_p_BLPN: Tensor | None
    attention_a_BLAN: Tensor | None
    grid: tuple[int, int]

    @property
    def presence_BP(self) -> Tensor:
        """Probability of each pathology (zero-shot classification)."""
        return full_precision(self.existence_p_BP2).softmax(-1)[..., 1]

    @property
    def place_BAP(self) -> Tensor:
        """Probability of each anatomy for each pathology."""
        return full_precision(self.relation_BAP).sigmoid()


def prototype_logits(z_BQD: Tensor, contrast: nn.Linear, book_KT: Tensor, temperature: float | None) -> Tensor:
    """<t_k, C z_q + b> for every query and entry of the other book, [B, Q, K].

    The published form contracts the book with C first: <t_k, C z> = <t_k C, z>, so that nothing of size [B, Q, K, T] is
    ever built. Over normalised vectors C z must be built, [B, Q, T], for its length.

    Args:
        z_BQD: decoded queries.
        contrast: C, b.
        book_KT: encoded terms.
        temperature: divides the products of normalised vectors; None takes raw products, the published form.
    """
    if temperature is None:
        return z_BQD @ (book_KT @ contrast.weight).T + book_KT @ contrast.bias
    projected_BQT = functional.normalize(contrast(z_BQD), dim=-1)
    return projected_BQT @ functional.normalize(book_KT, dim=-1).T / temperature


class MedSLIP(VisionLanguageModel):
    """MeDSLIP over two books of encoded terms.

    Args:
        config: sizes and mends.
        pathologies_PT: the book of pathologies, the text encoder's states of their definitions.
        anatomies_AT: the book of anatomies.

    Raises:
        ValueError: the books do not have the width that the configuration says.

    Example:
        >>> outputs = MedSLIP(config, pathologies_PT, anatomies_AT)(images_B1HW)
        >>> outputs.presence_BP
    """

    def __init__(self, config: Config, pathologies_PT: Tensor, anatomies_AT: Tensor) -> None:
        super().__init__(config, pathologies_PT, anatomies_AT)
        sizes, text_width = config.model, config.text_width
        self.streams = Streams(
            self.trunk.channels, sizes.width, config.mends.bounded_mask, config.mends.normalised_patches
        )
        self.query = nn.Linear(text_width, sizes.width)
        self.decoder_p = Decoder(sizes.width, sizes.heads, sizes.decoder_layers, sizes.dropout)
        self.decoder_a = Decoder(sizes.width, sizes.heads, sizes.decoder_layers, sizes.dropout)
        self.norm = nn.LayerNorm(sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.existence_p = nn.Linear(sizes.width, 2)
        self.existence_a = nn.Linear(sizes.width, 2)
        self.contrast_p = nn.Linear(sizes.width, text_width)
        self.contrast_a = nn.Linear(sizes.width, text_width)
        initialise(self, config.mends.scaled_start)
        if config.mends.scaled_relations:
            self.relation_scale = nn.Parameter(torch.tensor(math.log(10.0)))
            self.relation_bias = nn.Parameter(torch.tensor(0.0))
        self.positions = Positions(config.image_size // STRIDE, sizes.width) if config.mends.positions else None

    def forward(
        self,
        images_B1HW: Tensor,
        pathologies_PT: Tensor | None = None,
        anatomies_AT: Tensor | None = None,
        attention: bool = False,
    ) -> Outputs:
        """Ask the images for every term.

        Args:
            images_B1HW: grey levels 0 to 255, uint8 or float; sides are multiples of 16.
            pathologies_PT: encoded terms to ask for in place of the book of pathologies (open vocabulary).
            anatomies_AT: the same for anatomies.
            attention: whether the cross-attention maps are returned.

        Raises:
            ValueError: the images are not grey, or a side is no multiple of 16.
        """
        book_p_PT, book_a_AT = self.asked(pathologies_PT, anatomies_AT)
        patches_BNC, grid = self.trunk_patches(images_B1HW)
        patches_p_BND, patches_a_BND = self.streams(patches_BNC)
        if self.positions is not None:
            patches_p_BND, patches_a_BND = self.positions(patches_p_BND, grid), self.positions(patches_a_BND, grid)
        decoded_p_BPD, attention_p_BLPN = self.decoder_p(self.query(book_p_PT), patches_p_BND, attention)
        decoded_a_BAD, attention_a_BLAN = self.decoder_a(self.query(book_a_AT), patches_a_BND, attention)
        z_p_BPD, z_a_BAD = self.norm(decoded_p_BPD), self.norm(decoded_a_BAD)
        dropped_p_BPD, dropped_a_BAD = self.dropout(z_p_BPD), self.dropout(z_a_BAD)
        return Outputs(
            z_p_BPD=z_p_BPD,
            z_a_BAD=z_a_BAD,
            existence_p_BP2=self.existence_p(dropped_p_BPD),
            existence_a_BA2=self.existence_a(dropped_a_BAD),
            prototype_p_BPA=prototype_logits(dropped_p_BPD, self.contrast_p, book_a_AT, self.config.mends.temperature),
            prototype_a_BAP=prototype_logits(dropped_a_BAD, self.contrast_a, book_p_PT, self.config.mends.temperature),
            relation_BAP=self._relation_logits(z_a_BAD, z_p_BPD),
            attention_p_BLPN=attention_p_BLPN,
            attention_a_BLAN=attention_a_BLAN,
            grid=grid,
        )

    def _relation_logits(self, z_a_BAD: Tensor, z_p_BPD: Tensor) -> Tensor:
        """<z_a, z_p> for every anatomy and pathology, [B, A, P]."""
        if not self.config.mends.scaled_relations:
            return z_a_BAD @ z_p_BPD.transpose(1, 2)
        cosine_BAP = functional.normalize(z_a_BAD, dim=-1) @ functional.normalize(z_p_BPD, dim=-1).transpose(1, 2)
        return cosine_BAP * self.relation_scale.exp() + self.relation_bias
