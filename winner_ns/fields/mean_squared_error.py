"""The mean squared error over a large batch, and a field's values, in pieces that stay in the processor's cache."""

from __future__ import annotations

from typing import Optional

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.chunked import chunked_mean, default_chunk, gradient_of
from winner_ns.fields.field import Field
from winner_ns.fields.shares import in_shares


def summed_squares(field: nn.Module, coordinates: Float[Tensor, "n d"], values: Float[Tensor, "n c"]) -> Tensor:
    """The sum of (field(coordinates) - values)²."""
    return (field(coordinates) - values).square().sum()


autograd_gradient = gradient_of(summed_squares)


def mean_squared_error(
    field: nn.Module,
    coordinates: Float[Tensor, "n d"],
    values: Float[Tensor, "n c"],
    chunk: Optional[int] = None,
) -> Float[Tensor, ""]:
    """Mean of (field(coordinates) - values)², differentiable (once) by the field's parameters (`chunked_mean`).

    Args:
        field: a module from coordinates to values, all of whose parameters are trained.
        coordinates: points.
        values: targets.
        chunk: points per piece; None is `default_chunk`.

    Returns:
        The scalar loss.
    """
    faster = field.summed_gradient() if isinstance(field, Field) else None
    return chunked_mean(summed_squares, field, coordinates, values, values.numel(), chunk, faster or autograd_gradient)


def evaluate(field: nn.Module, coordinates: Float[Tensor, "n d"], chunk: Optional[int] = None) -> Float[Tensor, "n c"]:
    """field(coordinates) without a graph, in chunks; the result is on the coordinates' device."""
    device = next(field.parameters()).device
    size = 4 * default_chunk(device) if chunk is None else chunk

    @torch.no_grad()
    def share(points: Tensor) -> Tensor:
        return torch.cat([field(x.to(device)).to(points.device) for x in points.split(size)])

    # On another device the coordinates' own device says nothing about the work.
    return share(coordinates) if device.type != "cpu" else torch.cat(in_shares(share, size, coordinates))
