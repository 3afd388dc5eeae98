"""Shapes: the surface where a fitted signed distance is zero, found along rays."""

from __future__ import annotations

import math
from typing import Callable, Dict, Tuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.viewing.background import background_depth

Distance = Callable[[Float[Tensor, "m 3"]], Float[Tensor, "m 1"]]

STEP_SHARE, LONGEST_STEP = 0.8, 0.1
"""A step is this share of the distance, as a fitted distance may be too large; never longer, as it may level off."""
SHORTEST_STEP = 3e-3
"""Rays that graze the surface get past it in steps of this length …"""
STEPS_OUT = 60
"""… and those that still do near the end in so many equal ones, which take them across the cube."""
CLOSE = 1e-3
"""Distance at which a ray has arrived."""
BISECTIONS = 6
NORMAL_STEP = 2e-3
"""Half the distance between the points of a central difference."""

CLAY = 0.92
UP = (0.0, 1.0, 0.0)


@torch.no_grad()
def surface_outputs(
    distance: Distance, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], max_steps: int = 128
) -> Dict[str, Tensor]:
    """The surface distance = 0 within the cube [-1, 1]^3, lit from the camera and from the sky.

    Found by sphere tracing (Hart 1996) with shortened steps, only the rays still under way being evaluated; from
    inside the shape, its inner side is seen.

    Args:
        distance: signed distance, negative inside, in units of the cube; it may level off away from the surface.
        origins: of the rays.
        directions: unit vectors.
        max_steps: most evaluations along a ray, more than STEPS_OUT; few rays need more than 50.

    Returns:
        "shaded" [n, 3], matte light gray on white, and "normals" [n, 3], outward normals as (n + 1)/2 on white, both
        in 0 … 1; "depth" [n, 1]; "accumulation" [n, 1], 1 on the surface and 0 beside it.
    """
    hits, reached = _trace(distance, origins, directions, max_steps)
    depth = background_depth(origins, directions)
    shaded, normals = torch.ones_like(origins), torch.ones_like(origins)
    accumulation = torch.zeros_like(depth)
    if len(hits):
        depth[hits] = reached[:, None]
        accumulation[hits] = 1.0
        normal = _normals(distance, origins[hits] + reached[:, None] * directions[hits])
        normals[hits] = normal * 0.5 + 0.5
        shaded[hits] = _shade(normal, directions[hits])
    return {"shaded": shaded, "normals": normals, "depth": depth, "accumulation": accumulation}


def _trace(
    distance: Distance, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], max_steps: int
) -> Tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
    """The rays that meet the surface, and the distances at which they do."""
    entry, leave = _cube_interval(origins, directions)
    active = torch.nonzero(entry < leave)[:, 0]
    at = entry[active]
    before, value_before, side = at, torch.zeros_like(at), torch.zeros_like(at)
    found = []
    for step in range(max_steps):
        if not len(active):
            break
        shortest = SHORTEST_STEP if step < max_steps - STEPS_OUT else math.sqrt(12.0) / STEPS_OUT
        value = distance(origins[active] + at[:, None] * directions[active])[:, 0].to(at)
        # Each ray counts distances as positive on the side where it starts.
        side = torch.where(side == 0, torch.where(value < 0, -1.0, 1.0).to(at), side)
        value = value * side
        arrived = value < CLOSE
        if arrived.any():
            found.append([a[arrived] for a in (active, before, value_before, at, value, side)])
        following = at + (STEP_SHARE * value).clamp(shortest, LONGEST_STEP)
        goes_on = ~arrived & (following < leave[active])
        before, value_before = at[goes_on], value[goes_on]
        active, at, side = active[goes_on], following[goes_on], side[goes_on]
    if not found:
        return active[:0], at[:0]
    rays, low, value_low, high, value_high, side = (torch.cat(parts) for parts in zip(*found, strict=True))
    return rays, _refine(distance, origins[rays], directions[rays], low, value_low, high, value_high, side)


def _refine(
    distance: Distance,
    origins: Tensor,
    directions: Tensor,
    low: Float[Tensor, " m"],
    value_low: Float[Tensor, " m"],
    high: Float[Tensor, " m"],
    value_high: Float[Tensor, " m"],
    side: Float[Tensor, " m"],
) -> Float[Tensor, " m"]:
    """Where the line through the last two values crosses zero, after bisection where the sign has changed between
    them; where it has not, not far beyond the last one."""
    crossed = torch.nonzero(value_high < 0)[:, 0]
    origins, directions, side = origins[crossed], directions[crossed], side[crossed]
    for _ in range(BISECTIONS if len(crossed) else 0):
        middle = (low[crossed] + high[crossed]) / 2
        value = distance(origins + middle[:, None] * directions)[:, 0].to(side) * side
        beyond = value < 0
        high[crossed], value_high[crossed] = (
            torch.where(beyond, middle, high[crossed]),
            torch.where(beyond, value, value_high[crossed]),
        )
        low[crossed], value_low[crossed] = (
            torch.where(beyond, low[crossed], middle),
            torch.where(beyond, value_low[crossed], value),
        )
    slope = (value_low - value_high).clamp(min=1e-9)
    return torch.minimum(low + (high - low) * value_low / slope, high + 10 * CLOSE)


def _normals(distance: Distance, points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    """Unit normals, outward, by central differences."""
    offsets = NORMAL_STEP * torch.eye(3, device=points.device, dtype=points.dtype)
    gradient = torch.cat([distance(points + offset) - distance(points - offset) for offset in offsets], dim=-1)
    return torch.nn.functional.normalize(gradient.to(points), dim=-1)


def _shade(normal: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    """Matte gray under a light at the camera and a sky above."""
    facing = -(normal * directions).sum(-1, keepdim=True)
    towards_viewer = normal * torch.where(facing < 0, -1.0, 1.0)  # Inner sides are lit like outer ones.
    sky = 0.5 + 0.5 * (towards_viewer @ normal.new_tensor(UP))[:, None]
    light = 0.2 + 0.6 * facing.abs() + 0.2 * sky
    return (CLAY * light).clamp(0.0, 1.0).expand(-1, 3)


def _cube_interval(
    origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
) -> Tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Distances at which rays enter and leave the cube; the first is 0 from within, and not smaller than the second
    where a ray misses it."""
    # An infinite slope stands for a direction along a face; 0 times it would be NaN.
    slope = 1.0 / torch.where(directions == 0, torch.full_like(directions, 1e-12), directions)
    one, other = (-1.0 - origins) * slope, (1.0 - origins) * slope
    entry = torch.minimum(one, other).amax(-1).clamp(min=0.0)
    return entry, torch.maximum(one, other).amin(-1)
