"""From a scene's coordinates to the field's, [-1, 1]^3, and how far apart things are there."""

from __future__ import annotations

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RaySamples
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.field_components.spatial_distortions import SceneContraction
from torch import Tensor, nn


class FieldFrame(nn.Module):
    """Brings a scene into [-1, 1]^3.

    A bounded scene's box is shifted and scaled, alike along all axes. Of an unbounded scene the box is mapped to
    [-1/2, 1/2]^3 and everything else contracted into the rest (Barron et al. 2022, Mip-NeRF 360, with the maximum
    norm, as in nerfacto).

    Args:
        scene_box: what a bounded scene lies in; what is near in an unbounded one.
        bounded: which of the two.
    """

    def __init__(self, scene_box: SceneBox, bounded: bool) -> None:
        super().__init__()
        low, high = scene_box.aabb.float()
        self.register_buffer("center", (low + high) / 2.0)
        self.center: Tensor
        self.bounded = bounded
        self.half_extent = float((high - low).max()) / 2.0
        self.contraction = SceneContraction(order=float("inf"))

    @property
    def scale(self) -> float:
        """Scene units per unit of the field's coordinate (where nothing is contracted)."""
        return self.half_extent * (1.0 if self.bounded else 2.0)

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Points of [-1, 1]^3 for positions in the scene; outside of a bounded scene's box, beyond it."""
        near = (positions - self.center) / self.half_extent
        return near if self.bounded else self.contraction(near) / 2.0

    def middles_and_lengths(self, samples: RaySamples) -> tuple:
        """Where samples along rays lie, and how long they are, in the field's coordinates.

        Returns:
            Points [*batch, 3] and lengths [*batch, 1]. Densities are per such length, contracted or not, so that "half
            transparent" means the same for all scenes.
        """
        frustums = samples.frustums
        middles = self(frustums.origins + frustums.directions * (frustums.starts + frustums.ends) / 2.0)
        if self.bounded:
            return middles, (frustums.ends - frustums.starts) / self.half_extent
        ends = (self(frustums.origins + frustums.directions * along) for along in (frustums.starts, frustums.ends))
        start, end = ends
        return middles, torch.linalg.norm(end - start, dim=-1, keepdim=True)
