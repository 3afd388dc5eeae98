"""A signed distance from a surface with normals alone: SIREN's eikonal loss.

Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit Neural Representations with Periodic Activation Functions,
NeurIPS 2020 (arXiv 2006.09661), section 4.2; after Gropp et al. 2020 (arXiv 2002.10099).
"""

from __future__ import annotations

from typing import Optional

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.chunked import chunked_mean

ON_SURFACE, NORMAL, EIKONAL, OFF_SURFACE = 3000.0, 100.0, 50.0, 100.0
"""Weights of |f| and of 1 - cos(gradient, normal) on the surface, of ||gradient| - 1| everywhere, and of
exp(-SHARPNESS |f|) away from the surface: those of the authors' code."""
SHARPNESS = 100.0


def summed_eikonal(
    field: nn.Module, coordinates: Float[Tensor, "n 3"], targets: Float[Tensor, "n 4"]
) -> Float[Tensor, ""]:
    """The loss summed over points; targets are as for `eikonal_loss`."""
    with torch.enable_grad():
        x = coordinates.detach().requires_grad_(True)
        distance = field(x)
        (gradient,) = torch.autograd.grad(distance.sum(), x, create_graph=True)
    on_surface, normals = targets[:, 0], targets[:, 1:]
    size = distance[:, 0].abs()
    length = gradient.norm(dim=-1)
    turned = 1.0 - (gradient * normals).sum(-1) / length.clamp(min=1e-8)
    on = ON_SURFACE * size + NORMAL * turned
    off = OFF_SURFACE * torch.exp(-SHARPNESS * size)
    return (torch.where(on_surface > 0, on, off) + EIKONAL * (length - 1.0).abs()).sum()


def eikonal_loss(
    field: nn.Module,
    coordinates: Float[Tensor, "n 3"],
    targets: Float[Tensor, "n 4"],
    chunk: Optional[int] = None,
) -> Float[Tensor, ""]:
    """Mean over the points of what a signed distance must fulfil, differentiable (once) by the field's parameters.

    Args:
        field: a twice differentiable module to one value, the signed distance itself.
        coordinates: points on the surface, and anywhere else in the cube.
        targets: for each point 1 and its unit normal on the surface, and four zeros elsewhere.
        chunk: points per piece; None is `default_chunk`.
    """
    return chunked_mean(summed_eikonal, field, coordinates, targets, len(coordinates), chunk)
