"""One picture's rays, from nerfstudio's camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Tuple

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor


@dataclass(frozen=True)
class View:
    """The rays of one picture, row by row."""

    origins: Float[Tensor, "n 3"]
    directions: Float[Tensor, "n 3"]
    """Unit vectors."""
    pixel_area: Float[Tensor, "n 1"]
    """Area of each ray's pixel at distance 1 (nerfstudio's RayBundle.pixel_area)."""
    height: int
    width: int
    world_to_camera: Float[Tensor, "3 4"]
    """From scene coordinates to the camera's (x right, y up, looking along -z)."""
    focal: Tuple[float, float]
    """In pixels, along x and y."""

    @classmethod
    def of_camera(cls, camera: Cameras, device: torch.device) -> View:
        """The view of a single camera."""
        camera = camera.flatten()[0] if camera.shape else camera
        rays = camera.reshape((1,)).to(device).generate_rays(camera_indices=0, keep_shape=True)
        height, width = rays.shape[:2]
        pose = camera.camera_to_worlds.reshape(3, 4).to(device)
        rotation = pose[:, :3].t()
        flat = rays.flatten()
        assert flat.pixel_area is not None
        return cls(
            flat.origins,
            flat.directions,
            flat.pixel_area,
            height,
            width,
            torch.cat([rotation, -rotation @ pose[:, 3:]], dim=1),
            (float(camera.fx), float(camera.fy)),
        )

    @classmethod
    def of_rectangle(cls, left: float, top: float, width: float, height: float, columns: int, rows: int) -> View:
        """Faces a rectangle of the plane z = 0, all of which it sees, with so many pixels; in double precision."""
        focal = columns / width, rows / height  # From a distance of 1.
        x = (torch.arange(columns, dtype=torch.float64) + 0.5) / focal[0] - width / 2
        y = height / 2 - (torch.arange(rows, dtype=torch.float64) + 0.5) / focal[1]
        across, up = torch.meshgrid(x, y, indexing="xy")
        rays = torch.stack([across, up, -torch.ones_like(across)], dim=-1).reshape(-1, 3)
        length = rays.norm(dim=-1, keepdim=True)
        middle = torch.tensor([left + width / 2, top - height / 2, 1.0], dtype=torch.float64)
        return cls(
            middle.expand_as(rays),
            rays / length,
            1.0 / (focal[0] * focal[1] * length**3),
            rows,
            columns,
            torch.cat([torch.eye(3, dtype=torch.float64), -middle[:, None]], dim=1),
            focal,
        )

    def project(self, points: Float[Tensor, "m 3"]) -> Tuple[Float[Tensor, "m 2"], Bool[Tensor, " m"]]:
        """Pixel positions (column, row) of points, for a perspective camera, and which of them lie before it."""
        seen = points.to(self.world_to_camera) @ self.world_to_camera[:, :3].t() + self.world_to_camera[:, 3]
        depth = -seen[:, 2]
        before = depth > 1e-6
        scale = torch.tensor([self.focal[0], -self.focal[1]]) / depth.clamp(min=1e-6)[:, None].cpu()
        return seen[:, :2].cpu() * scale + torch.tensor([self.width / 2, self.height / 2]), before.cpu()


def framing_distance(
    half_width: float, half_height: float, fov: float, aspect: float, radius: float = 0.0, margin: float = 1.06
) -> float:
    """How far from the middle of a rectangle, or of a ball, a camera sees all of it.

    Args:
        half_width, half_height: half the sides of the rectangle, facing the camera.
        fov: vertical field of view in radians.
        aspect: width over height of the picture.
        radius: of the ball.
        margin: factor that leaves some room around it.
    """
    tangent, aspect = math.tan(fov / 2), max(aspect, 1e-3)
    narrower = math.atan(tangent * min(aspect, 1.0))
    return margin * max(max(half_height, half_width / aspect) / tangent, radius / math.sin(narrower))
