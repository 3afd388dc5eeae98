"""Numbers as colours."""

from __future__ import annotations

from functools import cache

import matplotlib
import torch
from jaxtyping import Float
from matplotlib.colors import Colormap
from torch import Tensor

SQUARE = 1 / 16
"""Side of the squares that are seen through transparent pixels."""
SQUARE_GRAYS = (0.6, 0.8)


def sample_colours(values: Float[Tensor, "m c"], points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
    """Samples of an image in [-1, 1] as colours in 0 … 1.

    Args:
        values: gray, gray and alpha, RGB, or RGBA; of more channels the first three are shown.
        points: where they are seen, for the checkerboard that transparent ones let through.
    """
    values = torch.nan_to_num(values * 0.5 + 0.5).clamp(0.0, 1.0)
    channels = values.shape[-1]
    colour = values[:, :3] if channels >= 3 else values[:, :1].expand(-1, 3)
    if channels not in (2, 4):
        return colour
    odd = torch.floor(points / SQUARE).sum(-1, keepdim=True) % 2
    board = SQUARE_GRAYS[0] + odd * (SQUARE_GRAYS[1] - SQUARE_GRAYS[0])
    return torch.lerp(board.expand(-1, 3), colour, values[:, -1:])


def signed_colours(values: Float[Tensor, "m c"]) -> Float[Tensor, "m 3"]:
    """Differences in [-1, 1], larger ones clipped, as colours in 0 … 1.

    One channel: blue below zero, white at zero, red above. Three: each channel on its own, gray at zero.
    """
    values = torch.nan_to_num(values).clamp(-1.0, 1.0)
    if values.shape[-1] >= 3:
        return values[:, :3] * 0.5 + 0.5
    return colours_of("RdBu_r", values[:, 0] * 0.5 + 0.5)


def colours_of(name: str, values: Float[Tensor, " m"]) -> Float[Tensor, "m 3"]:
    """Numbers in 0 … 1, others clipped, in one of matplotlib's colour maps."""
    table = _table(name).to(values.device)
    return table[(values.clamp(0.0, 1.0) * (len(table) - 1)).round().long()]


def matplotlib_map(name: str) -> Colormap:
    """One of matplotlib's colour maps."""
    return matplotlib.colormaps[name]


@cache
def _table(name: str) -> Float[Tensor, "256 3"]:
    return torch.tensor(matplotlib_map(name)(range(256))[:, :3], dtype=torch.float32)
