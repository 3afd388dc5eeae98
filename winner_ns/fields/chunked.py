"""A loss that is a sum over points, in pieces that stay in the processor's cache."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Tuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.shares import in_shares

SummedLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(field, coordinates [n, d], targets [n, c]) to the loss summed over the points, differentiable."""
SummedGradient = Callable[[nn.Module, Tensor, Tensor, int], Tuple[Tensor, List[Tensor]]]
"""(field, coordinates, targets, chunk) to the summed loss and its gradient by the field's parameters."""


def default_chunk(device: torch.device, width: int = 256) -> int:
    """Points per piece: on a CPU what keeps a field's layers in a core's cache, and of narrow ones more, as each piece
    costs some dozen calls (measured, docs/benchmarks.md); else many, of which a layer 1024 wide still takes but 256
    MiB."""
    return min(max(256, 65536 // width), 2048) if device.type == "cpu" else 65536


def width_of(field: nn.Module) -> int:
    """Neurons of a field's widest layer."""
    return max((parameter.shape[0] for parameter in field.parameters() if parameter.ndim == 2), default=256)


def gradient_of(summed: SummedLoss) -> SummedGradient:
    """The loss's gradient by autograd, for any field."""

    def gradient(
        field: nn.Module, coordinates: Float[Tensor, "n d"], targets: Float[Tensor, "n c"], chunk: int
    ) -> Tuple[Float[Tensor, ""], List[Tensor]]:
        parameters = list(field.parameters())
        gradients = [torch.zeros_like(p) for p in parameters]
        total = coordinates.new_zeros(())
        for x, y in zip(coordinates.split(chunk), targets.split(chunk)):
            with torch.enable_grad():
                loss = summed(field, x, y)
            # A parameter may have no part in a loss of derivatives alone: the output's bias.
            for so_far, of_chunk in zip(gradients, torch.autograd.grad(loss, parameters, allow_unused=True)):
                if of_chunk is not None:
                    so_far.add_(of_chunk)
            total += loss.detach()
        return total, gradients

    return gradient


class _ChunkedLoss(torch.autograd.Function):
    """Computes the parameters' gradient along with the loss and hands it out in backward."""

    @staticmethod
    def forward(
        ctx: Any,
        gradient: SummedGradient,
        field: nn.Module,
        coordinates: Tensor,
        targets: Tensor,
        chunk: int,
        count: int,
        *parameters: Tensor,
    ) -> Tensor:
        shares = in_shares(lambda x, y: gradient(field, x, y, chunk), chunk, coordinates, targets)
        total, gradients = shares[0]
        for more, more_gradients in shares[1:]:
            total += more
            torch._foreach_add_(gradients, more_gradients)  # pyright: ignore[reportPrivateImportUsage] (no public one)
        torch._foreach_div_(gradients, float(count))  # pyright: ignore[reportPrivateImportUsage] (nor here)
        ctx.save_for_backward(*gradients)
        return total / count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        return (None,) * 6 + tuple(gradient * grad for gradient in ctx.saved_tensors)


def chunked_mean(
    summed: SummedLoss,
    field: nn.Module,
    coordinates: Float[Tensor, "n d"],
    targets: Float[Tensor, "n c"],
    count: int,
    chunk: Optional[int] = None,
    gradient: Optional[SummedGradient] = None,
) -> Float[Tensor, ""]:
    """summed(field, coordinates, targets) / count, differentiable (once) by the field's parameters.

    Equal to the plain expression to float tolerance, with memory for the activations of one chunk instead of n points
    and intermediate results that stay in the cache.

    Args:
        summed: the loss.
        field: a module from coordinates to values, all of whose parameters are trained.
        coordinates: points.
        targets: what the loss wants to know of each.
        count: what the sum is divided by.
        chunk: points per piece; None is `default_chunk`.
        gradient: a faster way to the same gradient than autograd.
    """
    if chunk is None:
        # A hash grid's gradient is as large as its tables, whatever the number of points.
        whole = getattr(field, "whole_batch", False)
        chunk = max(len(coordinates), 1) if whole else default_chunk(coordinates.device, width_of(field))
    if not torch.is_grad_enabled():
        losses = [summed(field, x, y) for x, y in zip(coordinates.split(chunk), targets.split(chunk))]
        return torch.stack(losses).sum() / count
    gradient = gradient or gradient_of(summed)
    return _ChunkedLoss.apply(gradient, field, coordinates, targets, chunk, count, *field.parameters())
