"""Pictures that lie in the plane z = 0: images, and slices of volumes and videos."""

from __future__ import annotations

from typing import Callable, Dict, Sequence, Tuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from winner_ns.viewing.background import background_depth

SQUARE = 1 / 16
"""Side of the squares that are seen through transparent pixels."""
SQUARE_GRAYS = (0.6, 0.8)


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


@torch.no_grad()
def image_outputs(
    network: Callable[[Float[Tensor, "m 2"]], Float[Tensor, "m c"]],
    half_extent: Sequence[float],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
) -> Dict[str, Tensor]:
    """An image in the plane z = 0, upright for a camera that looks down the z axis with y up.

    Args:
        network: from (row, column) coordinates to values in [-1, 1]; gray, gray and alpha, RGB, or RGBA (of more
            channels the first three are shown). Asked for points of the image only.
        half_extent: of the rows and of the columns: the image is where |y| and |x| are not larger.
        origins: of the rays.
        directions: unit vectors.

    Returns:
        "field" [n, 3], colours in 0 … 1, transparent pixels over a checkerboard, white beside the image; "depth"
        [n, 1]; "accumulation" [n, 1], 1 on the image and 0 beside it.
    """
    points, depth, meets = plane_points(origins, directions)
    x, y = points.unbind(-1)
    inside = meets & (y.abs() <= half_extent[0]) & (x.abs() <= half_extent[1])
    colour = torch.ones_like(origins)
    if inside.any():
        seen = points[inside]
        colour[inside] = _colours(network(torch.stack([-seen[:, 1], seen[:, 0]], dim=-1)), seen).to(colour)
    depth = torch.where(inside[:, None], depth, background_depth(origins, directions))
    return {"field": colour, "depth": depth, "accumulation": inside[:, None].to(colour)}


@torch.no_grad()
def slice_outputs(
    network: Callable[[Float[Tensor, "m 3"]], Float[Tensor, "m c"]],
    half_extent: Sequence[float],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    position: float = 0.0,
) -> Dict[str, Tensor]:
    """One slice of a volume, or one moment of a video, shown as an image (`image_outputs`).

    Args:
        network: from coordinates in the order of the array's axes to values in [-1, 1].
        half_extent: of the three axes.
        origins, directions: as for `image_outputs`.
        position: along the first axis, -1 its first and 1 its last sample; 0 is the middle.

    Raises:
        ValueError: a position outside [-1, 1].
    """
    if not -1.0 <= position <= 1.0:
        raise ValueError(f"the position of a slice must be in [-1, 1], got {position}")
    first = position * half_extent[0]
    return image_outputs(
        lambda points: network(torch.cat([torch.full_like(points[:, :1], first), points], dim=-1)),
        half_extent[1:],
        origins,
        directions,
    )


def _colours(values: Float[Tensor, "m c"], points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
    """Values in [-1, 1] as colours in 0 … 1; what is transparent lets a checkerboard through."""
    values = torch.nan_to_num(values * 0.5 + 0.5).clamp(0.0, 1.0)
    channels = values.shape[-1]
    colour = values[:, :3] if channels >= 3 else values[:, :1].expand(-1, 3)
    if channels not in (2, 4):
        return colour
    odd = torch.floor(points / SQUARE).sum(-1, keepdim=True) % 2
    board = SQUARE_GRAYS[0] + odd * (SQUARE_GRAYS[1] - SQUARE_GRAYS[0])
    return torch.lerp(board.expand(-1, 3), colour, values[:, -1:])
