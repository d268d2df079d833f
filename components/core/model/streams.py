"""Disentanglement: the trunk's patches, divided into what is seen (pathology) and where (anatomy)."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class Stream(nn.Module):
    """The two linear maps of one stream: L2(ReLU(L1(x))), brought to unit scale where that is asked for."""

    def __init__(self, channels: int, width: int, normalised: bool) -> None:
        super().__init__()
        self.first = nn.Linear(channels, channels)
        self.second = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width) if normalised else nn.Identity()

    def forward(self, patches_BNC: Tensor) -> Tensor:
        """Patches [B, N, D] of the stream."""
        return cast(Tensor, self.norm(self.second(functional.relu(self.first(patches_BNC)))))


class Streams(nn.Module):
    """One mask per patch and channel divides the trunk's output between the two streams (paper, section 3.2).

    Args:
        channels: C of the trunk.
        width: D of the model.
        bounded_mask: whether the mask passes a sigmoid; the published form leaves it unbounded.
        normalised: whether a LayerNorm follows; the published form has none, and its patches start so small beside
            queries and positions that they are hardly seen for hundreds of steps.
    """

    def __init__(self, channels: int, width: int, bounded_mask: bool, normalised: bool) -> None:
        super().__init__()
        self.bounded_mask = bounded_mask
        self.mask = nn.Linear(channels, channels)
        self.pathology = Stream(channels, width, normalised)
        self.anatomy = Stream(channels, width, normalised)

    def forward(self, patches_BNC: Tensor) -> tuple[Tensor, Tensor]:
        """Patches of the pathology stream and of the anatomy stream, each [B, N, D]."""
        mask_BNC = self.mask(patches_BNC)
        if self.bounded_mask:
            mask_BNC = torch.sigmoid(mask_BNC)
        return self.pathology(mask_BNC * patches_BNC), self.anatomy((1 - mask_BNC) * patches_BNC)


def positional_encoding(height: int, width: int, channels: int) -> Tensor:
    """Sines and cosines of a patch's row (first half of the channels) and column (second half), [H * W, D].

    Positions are relative to the image's sides, so that a model can be used at another resolution. Wave lengths go from
    an eighth of a side, two patches of a 16 x 16 grid, to two sides.
    """
    assert channels % 4 == 0
    frequencies = torch.logspace(0, math.log10(16), channels // 4) * math.pi
    rows = ((torch.arange(height) + 0.5) / height)[:, None] * frequencies
    columns = ((torch.arange(width) + 0.5) / width)[:, None] * frequencies
    rows_HWD = torch.cat([rows.sin(), rows.cos()], 1)[:, None].expand(-1, width, -1)
    columns_HWD = torch.cat([columns.sin(), columns.cos()], 1)[None].expand(height, -1, -1)
    return torch.cat([rows_HWD, columns_HWD], 2).flatten(0, 1)


class Positions(nn.Module):
    """Adds the positional encoding to patches; that of the grid which a model is trained at is kept ready.

    Args:
        side: rows, and columns, of that grid.
        width: D.
    """

    ready_ND: Tensor

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.side, self.width = side, width
        self.register_buffer("ready_ND", positional_encoding(side, side, width), persistent=False)

    def forward(self, patches_BND: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patches [B, N, D] with their positions in a grid of N patches."""
        if grid == (self.side, self.side):
            return patches_BND + self.ready_ND
        return patches_BND + positional_encoding(*grid, self.width).to(self.ready_ND)
