"""What of a scene's rendering can be set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional


@dataclass
class RenderingConfig:
    """How posed photographs are rendered; of no use for other kinds."""

    num_samples: int = 96
    """Samples along a ray. Those in empty space cost next to nothing."""
    background_color: Optional[Literal["white", "black", "random", "last_sample"]] = None
    """What transparent pixels lie on, in training and in pictures; random: another colour for each ray in training,
    black in pictures. None: white where images have an alpha channel, else last_sample."""
    extent: Literal["auto", "bounded", "unbounded"] = "auto"
    """bounded: everything lies in the scene box; unbounded: what lies outside is contracted. auto: bounded where
    images have an alpha channel."""
    near_plane: float = 0.05
    """Where rays start, in scene units."""
    far_plane: float = 1000.0
    """Where rays end in an unbounded scene."""
    grid_resolution: int = 64
    """Cells along each axis of the grid that knows where the scene is empty."""
    lpips: bool = False
    """Whether LPIPS is among the figures of test views. Its weights have to lie in torch's cache already; nothing is
    downloaded."""
