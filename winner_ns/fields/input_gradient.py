"""How a field changes from point to point."""

from __future__ import annotations

from typing import Optional, Tuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.chunked import default_chunk
from winner_ns.fields.shares import in_shares


def value_and_gradient(
    field: nn.Module, coordinates: Float[Tensor, "n d"], chunk: Optional[int] = None
) -> Tuple[Float[Tensor, "n c"], Float[Tensor, "n d"]]:
    """The values of a field and the gradients by the coordinates of their sum, without a graph, in chunks.

    Args:
        field: a module from coordinates to values, most often one.
        coordinates: points.
        chunk: points per piece; None is a size that suits the device.

    Returns:
        Values and gradients, on the coordinates' device.
    """
    device = next(field.parameters()).device
    size = 4 * default_chunk(device) if chunk is None else chunk

    def share(points: Tensor) -> Tuple[Tensor, Tensor]:
        values, gradients = [], []
        for piece in points.split(size):
            with torch.enable_grad():
                x = piece.detach().to(device).requires_grad_(True)
                value = field(x)
                (gradient,) = torch.autograd.grad(value.sum(), x)
            values.append(value.detach().to(points.device))
            gradients.append(gradient.to(points.device))
        return torch.cat(values), torch.cat(gradients)

    # On another device the coordinates' own device says nothing about the work.
    parts = [share(coordinates)] if device.type != "cpu" else in_shares(share, size, coordinates)
    values, gradients = zip(*parts)
    return torch.cat(values), torch.cat(gradients)
