"""Where the object of a scene can be, from its silhouettes."""

from __future__ import annotations

from typing import Optional

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import CameraType
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

MOST_VIEWS = 64
"""Evenly spaced views that speak for all."""
RESOLUTION = 64
"""Cells along each axis of the box that is looked at."""
LEAST_ALPHA = 0.05
LEAST_SEEN = 0.5
"""Share of the views that a cell of the object falls into; few look into a large box's corners."""


def visual_hull_box(dataset: InputDataset, box: Float[Tensor, "2 3"]) -> Optional[Float[Tensor, "2 3"]]:
    """The bounding box, within a box, of all that lies inside every silhouette (Laurentini 1994, the visual hull).

    A tighter box spends a field's band and a ray's samples on the object. A cell counts if each view that it falls into
    has an opaque pixel near, and if these are at least LEAST_SEEN of all.

    Args:
        dataset: views with an alpha channel.
        box: low and high corner.

    Returns:
        The corners, a cell further out; None where the silhouettes leave nothing, or for lenses that bend.
    """
    cameras = dataset.cameras
    bent = cameras.distortion_params is not None and bool(cameras.distortion_params.abs().max() > 1e-6)
    if bent or not (cameras.camera_type == CameraType.PERSPECTIVE.value).all():
        return None
    low, high = box.float()
    cell = (high - low) / RESOLUTION
    line = (torch.arange(RESOLUTION) + 0.5) / RESOLUTION
    grid = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1).reshape(-1, 3)
    points = low + grid * (high - low)
    seen = torch.zeros(len(points))
    views = range(0, len(dataset), max(1, -(-len(dataset) // MOST_VIEWS)))
    for index in views:
        pose = cameras.camera_to_worlds[index].float()
        local = (points - pose[:, 3]) @ pose[:, :3]
        depth = -local[:, 2]
        fx, fy, cx, cy = (float(getattr(cameras, name)[index]) for name in ("fx", "fy", "cx", "cy"))
        ahead = depth > 1e-3
        safe = depth.clamp(min=1e-3)
        column, row = fx * local[:, 0] / safe + cx, -fy * local[:, 1] / safe + cy
        alpha = dataset.get_image_float32(index)[..., 3]
        height, width = alpha.shape
        within = ahead & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        # A cell's corner may reach beyond its middle's pixel.
        reach = (max(fx, fy) * float(cell.norm()) / 2.0 / safe[within]).ceil() + 1 + round(0.01 * width)
        hit = within.clone()
        hit[within] = _any_near(alpha > LEAST_ALPHA, row[within].floor(), column[within].floor(), reach)
        kept = hit | ~within
        seen = (seen + within)[kept]
        points = points[kept]
    points = points[seen >= LEAST_SEEN * len(views)]
    if not len(points):
        return None
    lowest, highest = points.amin(dim=0) - 1.5 * cell, points.amax(dim=0) + 1.5 * cell
    return torch.stack([torch.maximum(lowest, low), torch.minimum(highest, high)])


def _any_near(
    mask: Bool[Tensor, "h w"], row: Float[Tensor, " n"], column: Float[Tensor, " n"], reach: Float[Tensor, " n"]
) -> Bool[Tensor, " n"]:
    """Whether a mask is true anywhere in the square windows of pixels around some, each as wide as it needs: by sums
    over all rectangles from the corner (Crow 1984, summed-area tables)."""
    height, width = mask.shape
    sums = torch.zeros(height + 1, width + 1, dtype=torch.int64)
    sums[1:, 1:] = mask.long().cumsum(dim=0).cumsum(dim=1)
    top, bottom = (row - reach).clamp(0, height).long(), (row + reach + 1).clamp(0, height).long()
    left, right = (column - reach).clamp(0, width).long(), (column + reach + 1).clamp(0, width).long()
    return sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0
