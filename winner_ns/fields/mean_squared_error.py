"""The mean squared error over a large batch, in pieces that stay in the processor's cache."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


def default_chunk(device: torch.device) -> int:
    """Points per piece: on a CPU what keeps a 256-wide field's layers in a core's cache (measured), else a lot."""
    return 256 if device.type == "cpu" else 262144


def autograd_gradient(
    field: nn.Module, coordinates: Float[Tensor, "n d"], values: Float[Tensor, "n c"], chunk: int
) -> Tuple[Float[Tensor, ""], List[Tensor]]:
    """The mean squared error and its gradient by `field.parameters()`, for any field, `chunk` points at a time."""
    parameters = list(field.parameters())
    gradients = [torch.zeros_like(p) for p in parameters]
    total = coordinates.new_zeros(())
    for x, y in zip(coordinates.split(chunk), values.split(chunk)):
        with torch.enable_grad():
            loss = (field(x) - y).square().sum() / values.numel()
        for so_far, gradient in zip(gradients, torch.autograd.grad(loss, parameters)):
            so_far.add_(gradient)
        total += loss.detach()
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
        loss, gradients = gradient_of(field, coordinates, values, chunk)
        ctx.save_for_backward(*gradients)
        return loss

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


@torch.no_grad()
def evaluate(field: nn.Module, coordinates: Float[Tensor, "n d"], chunk: Optional[int] = None) -> Float[Tensor, "n c"]:
    """field(coordinates) without a graph, in chunks; the result is on the coordinates' device."""
    device = next(field.parameters()).device
    chunk = 4 * default_chunk(device) * torch.get_num_threads() if chunk is None else chunk
    return torch.cat([field(x.to(device)).to(coordinates.device) for x in coordinates.split(chunk)])
