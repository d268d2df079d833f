"""Multi-head attention of few queries to few patches, written out.

torch's fused kernels are made for long sequences: at 75 queries and 100 patches, on a CPU in bfloat16, these four lines
take a quarter of their time. Parameters have the names and shapes of `torch.nn.MultiheadAttention`, as in the
published checkpoint.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Attention with biases in every projection, and dropout on its weights.

    Args:
        width: D, a multiple of `heads`.
        heads: how many.
        dropout: share of the attention weights that is dropped in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def _heads(self, values_BLD: Tensor) -> Tensor:
        """[B, L, D] to [B, heads, L, D / heads]."""
        return values_BLD.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, queries_BQD: Tensor, keys_BND: Tensor) -> tuple[Tensor, Tensor]:
        """What the queries take from the keys [B, Q, D], and the weights of every head [B, H, Q, N].

        A batch of one query set is broadcast over the keys' batch.
        """
        width = queries_BQD.shape[-1]
        weight_q, weight_kv = self.in_proj_weight.split([width, 2 * width])
        bias_q, bias_kv = self.in_proj_bias.split([width, 2 * width])
        query_BHQd = self._heads(functional.linear(queries_BQD, weight_q, bias_q)) * (width // self.heads) ** -0.5
        keys_BN2D = functional.linear(keys_BND, weight_kv, bias_kv)
        key_BHNd, value_BHNd = (self._heads(part) for part in keys_BN2D.chunk(2, -1))
        weights_BHQN = (query_BHQd @ key_BHNd.transpose(-2, -1)).softmax(-1)
        dropped_BHQN = functional.dropout(weights_BHQN, self.dropout, self.training)
        taken_BQD = (dropped_BHQN @ value_BHNd).transpose(1, 2).flatten(2)
        return self.out_proj(taken_BQD), weights_BHQN
