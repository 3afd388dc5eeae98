"""Where rays meet the plane z = 0, in which images, sounds and slices lie."""

from __future__ import annotations

from typing import Tuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from winner_ns.viewing.background import background_depth


@torch.no_grad()
def plane_points(
    origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
) -> Tuple[Float[Tensor, "n 2"], Float[Tensor, "n 1"], Bool[Tensor, " n"]]:
    """Where rays meet the plane z = 0, from either side.

    Args:
        origins: of the rays.
        directions: unit vectors.

    Returns:
        x and y of the meeting points, the distances to them, and which rays meet the plane at all; of the others the
        depth is that of the background and the point a finite one without meaning.
    """
    along = directions[:, 2:]
    depth = -origins[:, 2:] / along
    meets = torch.isfinite(depth) & (depth > 0)
    depth = torch.where(meets, depth, background_depth(origins, directions))
    return origins[:, :2] + depth * directions[:, :2], depth, meets[:, 0]
