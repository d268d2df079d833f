"""A MeDSLIP small enough for tests: any vocabulary, since the books are arguments."""

import torch

from components.core.model import Config, MedSLIP, Mends
from components.core.params import Model, Trunk

PATHOLOGIES, ANATOMIES, TEXT_WIDTH, WIDTH, SIZE = 9, 11, 12, 16, 64
EVERY_MEND = Mends(
    bounded_mask=True,
    positions=True,
    normalised_patches=True,
    scaled_start=True,
    temperature=0.2,
    scaled_relations=True,
)


def config(mends: Mends, dropout: float = 0.0) -> Config:
    trunk = Trunk(depths=(1, 1, 1), hidden_sizes=(16, 16, 16), embedding_size=8, layer_type="basic")
    sizes = Model(trunk=trunk, width=WIDTH, decoder_layers=2, heads=2, dropout=dropout)
    return Config(image_size=SIZE, text_width=TEXT_WIDTH, model=sizes, mends=mends)


def model(mends: Mends, dropout: float = 0.0, seed: int = 0) -> MedSLIP:
    torch.manual_seed(seed)
    books = torch.randn(PATHOLOGIES, TEXT_WIDTH), torch.randn(ANATOMIES, TEXT_WIDTH)
    return MedSLIP(config(mends, dropout), *books)


def images(count: int, size: int = SIZE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 1, size, size), dtype=torch.uint8, generator=generator)


def labels(count: int) -> torch.Tensor:
    """Labels [B, A, P] of -1, 0 and 1, mostly not mentioned."""
    generator = torch.Generator().manual_seed(2)
    draws = torch.rand(count, ANATOMIES, PATHOLOGIES, generator=generator)
    return (draws > 0.85).to(torch.int8) + (draws > 0.93).to(torch.int8) - 1
