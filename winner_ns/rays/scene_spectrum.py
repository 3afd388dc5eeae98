"""The spectrum of a scene, from its training views."""

from __future__ import annotations

from typing import Iterator, Tuple

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.camera_utils import focus_of_attention
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from winner_ns.rays.frame import FieldFrame
from winner_ns.scenes.view_spectrum import View, views_spectrum
from winner_ns.spectrum import TargetSpectrum

MOST_VIEWS = 32
"""Evenly spaced views that speak for all."""
PROBES = 9
"""Pixels along each axis of an image at which the angle to the next pixel's ray is taken."""


def scene_spectrum(dataset: InputDataset, frame: FieldFrame) -> TargetSpectrum:
    """The centroid frequency of the training views, in the field's coordinates (`views_spectrum`).

    Args:
        dataset: training views and their cameras.
        frame: how the scene is brought into the field's coordinates.

    Raises:
        ValueError: no view shows anything but a single colour.
    """
    return views_spectrum(_views(dataset, frame), frame.scale)


def _views(dataset: InputDataset, frame: FieldFrame) -> Iterator[View]:
    cameras = dataset.cameras
    distances = torch.linalg.norm(cameras.camera_to_worlds[:, :, 3] - scene_focus(cameras, frame.center), dim=-1)
    step = max(1, -(-len(dataset) // MOST_VIEWS))
    for index in range(0, len(dataset), step):
        yield View(
            _unmasked(dataset, index),
            pixel_angles(cameras, index),
            max(float(distances[index]), 0.1 * frame.half_extent),
        )


def _unmasked(dataset: InputDataset, index: int) -> Float[np.ndarray, "h w c"]:
    """An image; what its mask hides is transparent."""
    image = dataset.get_image_float32(index).numpy()
    mask = dataset.get_data(index).get("mask")
    if mask is None:
        return image
    alpha = image[..., 3:] if image.shape[-1] == 4 else np.ones_like(image[..., :1])
    return np.concatenate([image[..., :3], alpha * mask.numpy().reshape(*alpha.shape)], axis=-1)


def scene_focus(cameras: Cameras, center: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    """The point that the cameras look at: what is nearest to their optical axes; `center` where there is none.

    One camera, and cameras that look the same way or apart, have no such point.
    """
    poses = torch.eye(4).repeat(len(cameras), 1, 1)
    poses[:, :3] = cameras.camera_to_worlds.cpu()
    directions = torch.nn.functional.normalize(poses[:, :3, 2], dim=-1)
    looking = ((center.cpu() - poses[:, :3, 3]) * -directions).sum(dim=-1) > 0
    spread = torch.linalg.eigvalsh(directions[looking].T @ directions[looking]) if looking.sum() > 1 else torch.zeros(3)
    if spread[1] < 1e-3 * spread[2] or spread[2] == 0:  # All axes are parallel.
        return center.cpu()
    return focus_of_attention(poses, center.cpu())


def pixel_angles(cameras: Cameras, index: int) -> Tuple[float, float]:
    """Mean angles in radians between the rays of neighbouring pixels of a camera: down a column, along a row.

    Taken from the rays themselves, so that focal lengths, pixels that are not square and distortion are in them.
    """
    height, width = int(cameras.height[index]), int(cameras.width[index])
    rows = torch.linspace(0.5, max(height - 1.5, 0.5), PROBES)
    columns = torch.linspace(0.5, max(width - 1.5, 0.5), PROBES)
    probes = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).reshape(-1, 2)
    offsets = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    rays = cameras.generate_rays(camera_indices=index, coords=(probes[:, None] + offsets).reshape(-1, 2))
    here, below, beside = torch.nn.functional.normalize(rays.directions.double(), dim=-1).reshape(-1, 3, 3).unbind(1)
    down, along = (
        2.0 * torch.asin((torch.linalg.norm(other - here, dim=-1) / 2.0).clamp(max=1.0)) for other in (below, beside)
    )
    return float(down.mean()), float(along.mean())
