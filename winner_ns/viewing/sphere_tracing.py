"""Where rays meet the zero level set of a signed distance, and what it looks like there."""

from __future__ import annotations

import math
from typing import Callable, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.viewing.pieces import in_pieces

Distance = Callable[[Float[Tensor, "m 3"]], Float[Tensor, "m 1"]]
"""Signed distance at points of the cube [-1, 1]^3, negative inside, in the cube's units. It need not be exact, and may
level off away from the surface."""

CELLS, PARTS = 64, 2
"""Cells of empty space along each axis of the cube, and parts along each side of those that may hold a surface."""
STEEPEST = 1.25
"""A cell is empty where the distance at its centre is so many times its half diagonal. (No more: there, at 1.7 times
the scale of a fitted tanh(distance / 0.02), the distance begins to drown in what the fit leaves.)"""

STEP_SHARE, LONGEST_STEP = 0.8, 0.1
"""Near the surface a step is this share of the distance, as a fitted one may be too large; and never longer."""
SHORTEST_STEP = 3e-3
"""Rays that graze the surface get past it in steps of this length …"""
STEPS_OUT = 60
"""… and those that still do near the end in so many equal ones, which take them across the cube."""
CLOSE = 1e-3
"""Distance at which a ray has arrived."""
REFINEMENTS = 4
MOVES_AT_ONCE = 16
"""Moves across empty space that rays make on a GPU between two looks at which of them are still under way: each look
waits for it. On a CPU, where nothing waits, rays that have come to their end cost more than the looks."""

CLAY = 0.92
UP = (0.0, 1.0, 0.0)
OCCLUSION_REACH = ((0.02, 0.5), (0.03, 0.3), (0.045, 0.2))
"""Heights above the surface at which neighbouring parts are looked for, and their weights."""
OCCLUSION = 0.55


class EmptySpace:
    """Which parts of the cube hold no surface: rays cross them without asking for the distance.

    Args:
        distance: measured once at the centre of each of CELLS^3 cells, and in PARTS^3 parts of those that may hold a
            surface.
        device: where the rays are.
    """

    def __init__(self, distance: Distance, device: torch.device) -> None:
        from scipy.ndimage import distance_transform_edt

        size, fine = 2 / CELLS, CELLS * PARTS
        line = (torch.arange(CELLS, device=device) + 0.5) * size - 1.0
        centres = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1).reshape(-1, 3)
        values = in_pieces(distance, centres).float().reshape(CELLS, CELLS, CELLS)
        self.values = values[None, None]
        near = torch.nonzero(values.abs() < STEEPEST * math.sqrt(0.75) * size)

        line = ((torch.arange(PARTS, device=device) + 0.5) / PARTS - 0.5) * size
        parts = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1).reshape(1, -1, 3)
        within = (((near + 0.5) * size - 1.0)[:, None] + parts).reshape(-1, 3)
        fine_values = in_pieces(distance, within).float() if len(within) else values.new_zeros(0, 1)
        held = fine_values.abs() < STEEPEST * math.sqrt(0.75) * size / PARTS

        side = values.sign()
        for axis in range(3):
            side = side.repeat_interleave(PARTS, dim=axis)
        place = tuple(((within + 1.0) * (fine / 2)).long().t())
        side[place] = fine_values[:, 0].sign()
        holds = torch.zeros_like(side, dtype=torch.bool)
        holds[place] = held[:, 0]
        # Too large a distance must not hide a surface: there is one wherever the side changes.
        for axis in range(3):
            changes = side.diff(dim=axis) != 0
            holds.narrow(axis, 0, fine - 1).logical_or_(changes)
            holds.narrow(axis, 1, fine - 1).logical_or_(changes)
        # From anywhere in a cell to anywhere in the nearest one that may hold a surface.
        occupied = holds.reshape(CELLS, PARTS, CELLS, PARTS, CELLS, PARTS).any(5).any(3).any(1)
        apart = np.full(occupied.shape, 4.0)
        if occupied.any():
            apart = distance_transform_edt(~occupied.cpu().numpy()) * size - math.sqrt(3.0) * size
        skip = torch.from_numpy(np.maximum(apart, 1e-6).astype(np.float32)).to(device)
        for axis in range(3):
            skip = skip.repeat_interleave(PARTS, dim=axis)
        skip[holds] = 0.0
        side[holds] = 0.0
        self._skip, self._side = skip.reshape(-1), side.reshape(-1)

    def skip(self, points: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"]) -> Float[Tensor, " m"]:
        """How far one may go from points without meeting a surface; 0 where there may be one."""
        fine = CELLS * PARTS
        position = (points + 1.0) * (fine / 2)
        cell = position.long().clamp_(0, fine - 1)
        skip = self._skip[(cell[:, 0] * fine + cell[:, 1]) * fine + cell[:, 2]]
        # At least out of the cell.
        ahead = torch.where(directions > 0, cell + 1.0 - position, position - cell)
        # A ray in the plane between two cells, or that is about to go below it, would not get out of either.
        ahead = torch.where((directions <= 0) & (ahead <= 0), 1.0, ahead)
        leaving = (ahead / directions.abs().clamp(min=1e-6)).amin(-1) * (2 / fine) + 1e-5
        return torch.where(skip > 0, torch.maximum(skip, leaving), skip)

    def side(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, " m"]:
        """1 outside, -1 inside, 0 where only the distance itself can tell."""
        fine = CELLS * PARTS
        x, y, z = ((points + 1.0) * (fine / 2)).long().clamp_(0, fine - 1).unbind(-1)
        return self._side[(x * fine + y) * fine + z]

    def rough_distance(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, " m"]:
        """The distance, interpolated between the cells' centres."""
        where = points.flip(-1).reshape(1, 1, 1, -1, 3)
        return torch.nn.functional.grid_sample(
            self.values, where.to(self.values), padding_mode="border", align_corners=False
        ).reshape(-1)


@torch.no_grad()
def trace(
    distance: Distance,
    space: EmptySpace,
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    max_steps: int = 128,
    moves: Optional[int] = None,
) -> Tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
    """The rays that meet the surface distance = 0 within the cube, and how far along each of them.

    Sphere tracing (Hart 1996) with shortened steps, only the rays still under way being evaluated, and only where
    there may be a surface. From inside the shape, its inner side is met.

    Args:
        distance: as it says.
        space: of the same distance.
        origins: of the rays.
        directions: unit vectors.
        max_steps: most evaluations along a ray, more than STEPS_OUT; few rays need more than 20.
        moves: across empty space between two looks at which rays are still under way; None: what suits the device. The
            rays' ways do not depend on it.
    """
    moves = moves or (1 if origins.device.type == "cpu" else MOVES_AT_ONCE)
    entry, leave = cube_interval(origins, directions)
    active = torch.nonzero(entry < leave)[:, 0]
    at = entry[active]
    side = space.side(origins[active] + at[:, None] * directions[active]).to(at)
    # As if each ray had come from a little outside: one that is first measured beyond the surface has crossed it.
    margin = 2 / CELLS
    before, value_before = at - margin, torch.full_like(at, margin)
    found = []
    for step in range(max_steps):
        there, within = _across_empty_space(space, origins[active], directions[active], at, leave[active], moves)
        crossed = space.side(origins[active] + at[:, None] * directions[active]) * side < 0
        there, within = torch.where(crossed, at, there), within | crossed
        skipped = there > at
        before = torch.where(skipped, there - margin, before)
        value_before = torch.where(skipped, margin, value_before)
        # By their numbers, which a GPU is asked for once, and not once for each of the five.
        kept = torch.nonzero(within)[:, 0]
        active, at, before, value_before, side = (a[kept] for a in (active, there, before, value_before, side))
        if not len(active):
            break
        shortest = SHORTEST_STEP if step < max_steps - STEPS_OUT else math.sqrt(12.0) / STEPS_OUT
        value = in_pieces(distance, origins[active] + at[:, None] * directions[active])[:, 0].to(at)
        # Each ray counts distances as positive on the side where it starts.
        side = torch.where(side == 0, torch.where(value < 0, -1.0, 1.0).to(at), side)
        value = value * side
        arrived = value < CLOSE
        met = torch.nonzero(arrived)[:, 0]
        if len(met):
            found.append([a[met] for a in (active, before, value_before, at, value, side)])
        following = at + (STEP_SHARE * value).clamp(shortest, LONGEST_STEP)
        goes_on = torch.nonzero(~arrived & (following < leave[active]))[:, 0]
        before, value_before = at[goes_on], value[goes_on]
        active, at, side = active[goes_on], following[goes_on], side[goes_on]
    if not found:
        return active[:0], at[:0]
    rays, low, value_low, high, value_high, side = (torch.cat(parts) for parts in zip(*found, strict=True))
    return rays, _refine(distance, origins[rays], directions[rays], low, value_low, high, value_high, side)


def _across_empty_space(
    space: EmptySpace,
    origins: Tensor,
    directions: Tensor,
    at: Float[Tensor, " m"],
    leave: Float[Tensor, " m"],
    moves: int,
) -> Tuple[Float[Tensor, " m"], Tensor]:
    """Where each ray comes to what may hold a surface, and which rays do before they leave."""
    at = at.clone()
    under_way = torch.arange(len(at), device=at.device)
    for _ in range(4 * CELLS // moves):
        here, start, towards, end = at[under_way], origins[under_way], directions[under_way], leave[under_way]
        for _ in range(moves):
            step = space.skip(start + here[:, None] * towards, towards)
            moved = (step > 0) & (here < end)
            here = torch.where(moved, here + step, here)
        at[under_way] = here
        under_way = under_way[torch.nonzero(moved & (here < end))[:, 0]]
        if not len(under_way):
            break
    return at, at < leave


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
    """Where the line through the last two values crosses zero, after some steps of the Illinois method where the sign
    has changed between them; where it has not, not far beyond the last one."""
    crossed = torch.nonzero(value_high < 0)[:, 0]
    all_origins, all_directions = origins, directions
    origins, directions, side = origins[crossed], directions[crossed], side[crossed]
    a, fa, b, fb = low[crossed], value_low[crossed], high[crossed], value_high[crossed]
    for _ in range(REFINEMENTS if len(crossed) else 0):
        # Never quite at an end, so that both close in.
        share = (fa / (fa - fb).clamp(min=1e-9)).clamp(0.05, 0.95)
        middle = a + (b - a) * share
        value = in_pieces(distance, origins + middle[:, None] * directions)[:, 0].to(side) * side
        beyond = value < 0
        fa, fb = torch.where(beyond, fa / 2, value), torch.where(beyond, value, fb / 2)
        a, b = torch.where(beyond, a, middle), torch.where(beyond, middle, b)
    low, value_low, high, value_high = (x.clone() for x in (low, value_low, high, value_high))
    low[crossed], value_low[crossed], high[crossed], value_high[crossed] = a, fa, b, fb
    slope = (value_low - value_high).clamp(min=1e-9)
    reached = torch.minimum(low + (high - low) * value_low / slope, high + 10 * CLOSE)
    # One that has not crossed may have passed an edge instead: no further than where it is closest.
    near = torch.nonzero(value_high >= 0)[:, 0]
    beyond = in_pieces(distance, all_origins[near] + reached[near, None] * all_directions[near])[:, 0].abs()
    reached[near] = torch.where(beyond.to(reached) < value_high[near], reached[near], high[near])
    return reached


def shade(
    normals: Float[Tensor, "m 3"],
    points: Float[Tensor, "m 3"],
    directions: Float[Tensor, "m 3"],
    space: Optional[EmptySpace] = None,
) -> Float[Tensor, " m"]:
    """Light on a matte surface, 0 … 1: from the camera, and from a sky that neighbouring parts hide.

    Args:
        normals: unit, outward; inner sides are lit like outer ones.
        points: on the surface.
        directions: of the rays that meet it.
        space: of the same surface; None: nothing is hidden.
    """
    facing = -(normals * directions).sum(-1)
    towards_viewer = normals * torch.where(facing < 0, -1.0, 1.0)[:, None]
    sky = 0.5 + 0.5 * towards_viewer @ normals.new_tensor(UP)
    light = 0.2 + 0.6 * facing.abs() + 0.2 * sky
    if space is not None:
        hidden = torch.zeros_like(light)
        for height, weight in OCCLUSION_REACH:
            clear = space.rough_distance(points + height * towards_viewer).abs()
            hidden += weight * (1.0 - clear / height).clamp(0.0, 1.0)
        light = light * (1.0 - OCCLUSION * hidden)
    return (CLAY * light).clamp(0.0, 1.0)


def cube_interval(
    origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
) -> Tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Distances at which rays enter and leave the cube [-1, 1]^3; the first is 0 from within, and not smaller than the
    second where a ray misses it."""
    # An infinite slope stands for a direction along a face; 0 times it would be NaN.
    slope = 1.0 / torch.where(directions == 0, torch.full_like(directions, 1e-12), directions)
    one, other = (-1.0 - origins) * slope, (1.0 - origins) * slope
    entry = torch.minimum(one, other).amax(-1).clamp(min=0.0)
    return entry, torch.maximum(one, other).amin(-1)
