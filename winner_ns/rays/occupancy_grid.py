"""Where a scene is not empty: a grid that spares the field most of the samples along rays."""

from __future__ import annotations

from typing import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class OccupancyGrid(nn.Module):
    """A density for each cell of [-1, 1]^3, refreshed now and then while a field is trained.

    As in Müller et al. 2022 (Instant NGP, arXiv 2201.05989, appendix C.2): a cell keeps the greatest density that was
    seen in it, which fades with every refresh, and counts as occupied above a threshold, or above the mean of all, if
    that is lower: a scene that is thin everywhere is not empty. Plain torch, since the grids of nerfacc want CUDA.

    Args:
        resolution: cells along each axis.
        threshold: density, in the field's own units, above which a cell is occupied.
    """

    FADING = 0.9
    """Factor of a cell's density at each refresh that looks at it."""

    def __init__(self, resolution: int = 64, threshold: float = 1.0) -> None:
        super().__init__()
        self.resolution, self.threshold = resolution, threshold
        # Everything is occupied until it has been looked at.
        self.register_buffer("density", torch.full((resolution**3,), torch.inf))
        self.register_buffer("level", torch.tensor(threshold))
        self.density: Tensor
        self.level: Tensor

    def occupied(self, points: Float[Tensor, "*batch 3"]) -> Bool[Tensor, "*batch"]:
        """Whether the cells of these points of [-1, 1]^3 are occupied; points outside count with the nearest cell."""
        return self.density[self._cells(points)] > self.level

    @property
    def fraction(self) -> Float[Tensor, ""]:
        """Share of occupied cells, 0 to 1; where the grid is, so that a step that tells it does not wait for it."""
        return (self.density > self.level).float().mean()

    def _cells(self, points: Tensor) -> Tensor:
        index = ((points + 1.0) * (self.resolution / 2.0)).long().clamp_(0, self.resolution - 1)
        return (index[..., 0] * self.resolution + index[..., 1]) * self.resolution + index[..., 2]

    @torch.no_grad()
    def refresh(self, density: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 1"]], count: int) -> None:
        """Looks at `count` cells, half of them anywhere, half of them among the occupied ones, at a random point each.

        Args:
            density: the field's density at points of [-1, 1]^3.
            count: number of cells; the grid's size or more looks at each of them once.
        """
        total = self.resolution**3
        device = self.density.device
        if count >= total:
            cells = torch.arange(total, device=device)
        else:
            occupied = torch.nonzero(self.density > self.level)[:, 0]
            cells = torch.randint(total, (count // 2,), device=device)
            if len(occupied):
                some = occupied[torch.randint(len(occupied), (count - count // 2,), device=device)]
                cells = torch.unique(torch.cat([cells, some]))
        n = self.resolution
        corner = torch.stack([cells // (n * n), cells // n % n, cells % n], dim=-1)
        points = (corner + torch.rand(corner.shape, device=device)) * (2.0 / n) - 1.0
        seen = density(points)[:, 0].float()
        before = torch.nan_to_num(self.density[cells], posinf=0.0)
        self.density[cells] = torch.maximum(before * self.FADING, seen)
        self.level.copy_(self.density.mean().clamp(max=self.threshold))
