"""The mean squared error over a large batch, in pieces that stay in the processor's cache."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.shares import in_shares


def default_chunk(device: torch.device) -> int:
    """Points per piece: on a CPU what keeps a 256-wide field's layers in a core's cache (measured), else a lot."""
    return 256 if device.type == "cpu" else 262144


def autograd_gradient(
    field: nn.Module, coordinates: Float[Tensor, "n d"], values: Float[Tensor, "n c"], chunk: int
) -> Tuple[Float[Tensor, ""], List[Tensor]]:
    """The summed squared error and its gradient by `field.parameters()`, for any field, `chunk` points at a time."""
    parameters = list(field.parameters())
    gradients = [torch.zeros_like(p) for p in parameters]
    total = coordinates.new_zeros(())
    for x, y in zip(coordinates.split(chunk), values.split(chunk)):
        with torch.enable_grad():
            error = (field(x) - y).square().sum()
        for so_far, gradient in zip(gradients, torch.autograd.grad(error, parameters)):
            so_far.add_(gradient)
        total += error.detach()
    return total, gradients


class _ChunkedError(torch.autograd.Function):
    """Computes the parameters' gradient along with the loss and hands it out in backward."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, field: nn.Module, coordinates: Tensor, values: Tensor, chunk: int, *parameters: Tensor
    ) -> Tensor:
        from winner_ns.fields.siren import Siren
        from winner_ns.fields.siren_gradient import siren_gradient

        gradient_of = siren_gradient if isinstance(field, Siren) else autograd_gradient
        shares = in_shares(lambda x, y: gradient_of(field, x, y, chunk), chunk, coordinates, values)
        total, gradients = shares[0]
        for more, more_gradients in shares[1:]:
            total += more
            torch._foreach_add_(gradients, more_gradients)
        torch._foreach_div_(gradients, float(values.numel()))
        ctx.save_for_backward(*gradients)
        return total / values.numel()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:  # type: ignore[override]
        return (None,) * 4 + tuple(gradient * grad for gradient in ctx.saved_tensors)


def mean_squared_error(
    field: nn.Module,
    coordinates: Float[Tensor, "n d"],
    values: Float[Tensor, "n c"],
    chunk: Optional[int] = None,
) -> Float[Tensor, ""]:
    """Mean of (field(coordinates) - values)², differentiable (once) by the field's parameters.

    Equal to the plain expression to float tolerance, with memory for the activations of one chunk instead of n points
    and intermediate results that stay in the cache.

    Args:
        field: a module from coordinates to values, all of whose parameters are trained.
        coordinates: points.
        values: targets.
        chunk: points per piece; None is `default_chunk`.

    Returns:
        The scalar loss.
    """
    if chunk is None:
        # A hash grid's gradient is as large as its tables, whatever the number of points.
        whole = getattr(field, "whole_batch", False)
        chunk = max(len(coordinates), 1) if whole else default_chunk(coordinates.device)
    if not torch.is_grad_enabled():
        errors = [(field(x) - y).square().sum() for x, y in zip(coordinates.split(chunk), values.split(chunk))]
        return torch.stack(errors).sum() / values.numel()
    return _ChunkedError.apply(field, coordinates, values, chunk, *field.parameters())


def evaluate(field: nn.Module, coordinates: Float[Tensor, "n d"], chunk: Optional[int] = None) -> Float[Tensor, "n c"]:
    """field(coordinates) without a graph, in chunks; the result is on the coordinates' device."""
    device = next(field.parameters()).device
    size = 4 * default_chunk(device) if chunk is None else chunk

    @torch.no_grad()
    def share(points: Tensor) -> Tensor:
        return torch.cat([field(x.to(device)).to(points.device) for x in points.split(size)])

    # On another device the coordinates' own device says nothing about the work.
    return share(coordinates) if device.type != "cpu" else torch.cat(in_shares(share, size, coordinates))
