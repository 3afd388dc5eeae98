"""A family, a law and a kind as a user would bring them: `docs/extending.md` shows the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import nn

import winner_ns
from winner_ns.signals.grid import GridSignal, square_half_extent


class Tent(winner_ns.Field):
    """Layers of triangle waves, 2/pi asin(sin(steepness z))."""

    learning_rate = 2e-3
    source = "these tests"
    band_setting = "steepness"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 64,
        depth: int = 3,
        steepness: float = 8.0,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        settings = {"width": width, "depth": depth, "steepness": float(steepness)}
        super().__init__(in_dim, out_dim, settings, positive=("steepness",))
        sizes = [in_dim, *[width] * depth, out_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        for layer in self.layers:
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -1 / math.sqrt(layer.in_features), generator=generator, b=0.5)

    def forward(self, coordinates: torch.Tensor) -> torch.Tensor:
        hidden = coordinates
        for layer in self.layers[:-1]:
            hidden = 2 / math.pi * torch.asin(0.999 * torch.sin(self.settings["steepness"] * layer(hidden)))
        return self.layers[-1](hidden)


class Constant(winner_ns.Law):
    """The same noise for every target; a purpose is the scale of layer 1."""

    source = "these tests"
    takes = ("purpose",)

    def __init__(self, purpose: Optional[str] = None) -> None:
        self.scale = 5.0 if purpose is None else float(purpose)

    def __call__(self, target, network) -> winner_ns.NoiseScales:
        return winner_ns.NoiseScales(s0=self.scale, s1=0.01)


def read_terrain(path: Path) -> GridSignal:
    """Heights in metres in an ESRI ASCII grid: six lines of facts, then rows of numbers."""
    heights = np.loadtxt(path, skiprows=6, dtype=np.float32)[..., None]
    low, high = float(heights.min()), float(heights.max())
    return GridSignal(
        kind="terrain",
        path=path,
        samples=heights,
        value_offset=(low + high) / 2,
        value_scale=(high - low) / 2,
        half_extent=square_half_extent(heights.shape[:2]),
    )


def register() -> None:
    """Adds all three."""
    winner_ns.register_family("tent", Tent)
    winner_ns.register_law("constant", Constant)
    winner_ns.register_kind(
        winner_ns.Kind(
            "terrain",
            "a terrain",
            "terrains",
            reader="own_parts:read_terrain",
            signatures=((0, b"ncols"),),
            export_command="image",
            writer="winner_ns.export.image:write_fitted",
            save="winner_ns.export.image:export_image",
            planes="winner_ns.export.excerpts:whole_plane",
        )
    )


register()
