"""Slopes and curvature of a field along its coordinates, analytically and in one pass.

Value, slopes and curvature go through the network together, layer by layer: for a sine layer h = sin(z), z linear in
what comes in, h_i = cos(z) z_i and sum h_ii = cos(z) sum z_ii - sin(z) sum z_i^2. With k axes that are k + 2 times the
matrix products of the value alone, where central differences take 2 k + 1 evaluations and lose half of the digits.
Networks of other layers are left to autograd.
"""

from __future__ import annotations

from typing import Callable, List, Sequence, Tuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.chunked import default_chunk
from winner_ns.fields.shares import in_shares
from winner_ns.fields.sine_field import SineField
from winner_ns.fields.sine_layer import SineLayer

Derivatives = Tuple[Float[Tensor, "n c"], Float[Tensor, "k n c"], Float[Tensor, "n c"]]
"""Values, first derivatives along each axis, weighted sum of the second derivatives."""


@torch.no_grad()
def derivatives(network: nn.Module, coordinates: Float[Tensor, "n d"], lengths: Sequence[float]) -> Derivatives:
    """A network's values, slopes along its coordinates and Laplacian, without a graph, in pieces.

    Args:
        network: a module from coordinates to values.
        coordinates: points.
        lengths: the step along each of the d coordinates that derivatives count by; 0 leaves a coordinate out.

    Returns:
        Values [n, c]; first derivatives [k, n, c] along the k coordinates that are not left out, times their length;
        the sum of the second derivatives along them, times their squared lengths, [n, c].
    """
    device = next(network.parameters()).device
    size = 2 * default_chunk(device)
    axes = [axis for axis, length in enumerate(lengths) if length]
    steps = torch.zeros(len(axes), len(lengths), device=device)
    for row, axis in enumerate(axes):
        steps[row, axis] = lengths[axis]
    of_piece: Callable[..., Derivatives] = _of_sines if _is_of_sines(network) else _by_autograd

    @torch.no_grad()
    def share(points: Tensor) -> List[Derivatives]:
        pieces = [of_piece(network, piece.to(device), steps) for piece in points.split(size)]
        return [(v.to(points.device), f.to(points.device), s.to(points.device)) for v, f, s in pieces]

    shares = [share(coordinates)] if device.type != "cpu" else in_shares(share, size, coordinates)
    values, first, second = zip(*(piece for pieces in shares for piece in pieces))
    return torch.cat(values), torch.cat(first, dim=1), torch.cat(second)


def _is_of_sines(network: nn.Module) -> bool:
    """Whether it is what `_of_sines` writes out: a subclass may make something else of its layers."""
    return (
        isinstance(network, SineField)
        and type(network).forward is SineField.forward
        and all(type(layer) is SineLayer for layer in network.layers)
    )


def _of_sines(network: SineField, points: Float[Tensor, "n d"], steps: Float[Tensor, "k d"]) -> Derivatives:
    value, n, k = points, len(points), len(steps)
    first = steps[:, None, :].expand(k, n, -1)
    second = torch.zeros_like(points)
    for layer in network.layers:
        z = layer.pre_activation(value)
        tangents = torch.cat([first.reshape(k * n, -1), second]) @ (layer.omega_0 * layer.weight.t())
        slopes = tangents[: k * n].view(k, n, -1)
        value, cosine = torch.sin(z), torch.cos(z)
        second = cosine * tangents[k * n :] - value * slopes.square().sum(0)
        first = cosine * slopes
    weight = network.output.weight.t()
    return network.output(value), first @ weight, second @ weight


def _by_autograd(network: nn.Module, points: Float[Tensor, "n d"], steps: Float[Tensor, "k d"]) -> Derivatives:
    # Backwards twice: torch's forward mode, which would be quicker, does not work in several threads.
    with torch.enable_grad():
        x = points.detach().requires_grad_(True)
        values = network(x)
        first, second = [], []
        for value in values.unbind(-1):
            slopes = _gradient(value, x) @ steps.t()
            first.append(slopes.t())
            along = zip(slopes.unbind(-1), steps, strict=True)
            second.append(torch.stack([_gradient(slope, x) @ step for slope, step in along]).sum(0))
    return values.detach(), torch.stack(first, dim=-1).detach(), torch.stack(second, dim=-1).detach()


def _gradient(value: Float[Tensor, " n"], x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Zero where a value does not depend on the coordinates."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient
