"""The decoder of one stream: queries of the vocabulary look at each other and at the patches."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.model.attention import Attention


class DecoderLayer(nn.Module):
    """Pre-norm: queries attend to one another, then to the patches (which are not normalised), then a feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout)
        self.cross_attention = Attention(width, heads, dropout)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries_BQD: Tensor, patches_BND: Tensor) -> tuple[Tensor, Tensor]:
        """The next queries [B, Q, D] and the cross-attention of every head [B, H, Q, N]."""
        normed_BQD = self.norm1(queries_BQD)
        queries_BQD = queries_BQD + self.dropout(self.self_attention(normed_BQD, normed_BQD)[0])
        seen_BQD, attention_BHQN = self.cross_attention(self.norm2(queries_BQD), patches_BND)
        queries_BQD = queries_BQD + self.dropout(seen_BQD)
        hidden_BQF = self.dropout(functional.relu(self.expand(self.norm3(queries_BQD))))
        return queries_BQD + self.dropout(self.contract(hidden_BQF)), attention_BHQN


class Decoder(nn.Module):
    """A stack of layers; the final LayerNorm is the caller's, since the two decoders share it."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList(DecoderLayer(width, heads, dropout) for _ in range(layers))

    def forward(self, queries_QD: Tensor, patches_BND: Tensor, attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """Decoded queries [B, Q, D] and, where asked, every layer's cross-attention, mean of heads [B, L, Q, N]."""
        queries_BQD = queries_QD.unsqueeze(0)
        if self.training and self.dropout > 0:
            # Each image has draws of its own; without draws, the first self-attention is the same for every image.
            queries_BQD = queries_BQD.expand(len(patches_BND), -1, -1)
        maps = []
        for layer in self.layers:
            queries_BQD, attention_BHQN = cast(DecoderLayer, layer)(queries_BQD, patches_BND)
            if attention:
                maps.append(attention_BHQN.mean(1))
        return queries_BQD, torch.stack(maps, 1) if attention else None
