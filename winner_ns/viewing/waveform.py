"""Sounds as waveforms in the plane z = 0: time to the right, amplitude upwards."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.viewing.background import background_depth
from winner_ns.viewing.plane import plane_points

HALF_HEIGHT = 0.5
"""The waveform takes |y| <= HALF_HEIGHT and |x| <= 1."""
MARGIN = 0.02
CELLS = 8
"""A pixel's width is at least so many, and at most twice as many, cells of time, which its neighbours share."""

PAPER, FRAME, ZERO, INK = (0.985, 0.985, 0.985), (0.55, 0.55, 0.55), (0.82, 0.82, 0.82), (0.13, 0.36, 0.66)


@torch.no_grad()
def waveform_outputs(
    network: Callable[[Float[Tensor, "m 1"]], Float[Tensor, "m c"]],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    pixel_area: Float[Tensor, "n 1"],
) -> Dict[str, Tensor]:
    """The waveform in the plane z = 0: time from x = -1 to 1, amplitude upwards, channels one below the other.

    A pixel is inked from the smallest to the largest value that the sound has during the pixel's width, as in sound
    editors; from close by that is the curve itself, one pixel thick. The network is asked for about 30 times per
    column of pixels, however many rows these have, so rays should come a whole picture at a time.

    Args:
        network: from time in [-1, 1] to one value in [-1, 1] per channel.
        origins: of the rays.
        directions: unit vectors.
        pixel_area: of each ray's pixel at distance 1 (nerfstudio's RayBundle.pixel_area).

    Returns:
        "field" [n, 3], colours in 0 … 1, white beside the frame; "depth" [n, 1]; "accumulation" [n, 1], 1 within the
        frame and 0 beside it.
    """
    points, depth, meets = plane_points(origins, directions)
    x, y = points.unbind(-1)
    pixel_x, pixel_y = _pixel_size(directions, depth, pixel_area)
    # Half of the frame's line is beyond the border, but no more of the plane, where a pixel at the horizon is vast.
    beyond_x, beyond_y = pixel_x.clamp(max=MARGIN), pixel_y.clamp(max=MARGIN)
    inside = meets & (x.abs() <= 1.0 + beyond_x) & (y.abs() <= HALF_HEIGHT + beyond_y)
    colour = torch.ones_like(origins)
    if inside.any():
        colour[inside] = _panel(network, x[inside], y[inside], pixel_x[inside], pixel_y[inside]).to(colour)
    depth = torch.where(inside[:, None], depth, background_depth(origins, directions))
    return {"field": colour, "depth": depth, "accumulation": inside[:, None].to(colour)}


def _pixel_size(
    directions: Float[Tensor, "n 3"], depth: Float[Tensor, "n 1"], pixel_area: Float[Tensor, "n 1"]
) -> Tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """How far x and y change within a pixel: its size at that depth, more where the plane is seen at a slant."""
    slant = directions[:, :2] / directions[:, 2:].abs().clamp(min=1e-3)
    size = depth * pixel_area.sqrt() * torch.sqrt(1.0 + slant**2)
    size = size.clamp(min=1e-9)
    return size[:, 0], size[:, 1]


def _panel(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, " m"],
    y: Float[Tensor, " m"],
    pixel_x: Float[Tensor, " m"],
    pixel_y: Float[Tensor, " m"],
) -> Float[Tensor, "m 3"]:
    """Colours within the frame."""
    lowest, highest = _extent_during_pixel(network, x, pixel_x)
    channels = lowest.shape[1]
    lane_height = 2 * HALF_HEIGHT / channels
    lane = ((HALF_HEIGHT - y) / lane_height).long().clamp(0, channels - 1)
    center = HALF_HEIGHT - (lane + 0.5) * lane_height
    low, high = (center + torch.gather(a, 1, lane[:, None])[:, 0] * (lane_height / 2) for a in (lowest, highest))

    # What a line covers of a pixel falls from 1 to 0 within one pixel's width.
    zero = 1.0 - (y - center).abs() / pixel_y
    edge = torch.minimum(((y - center).abs() - lane_height / 2).abs() / pixel_y, (x.abs() - 1.0).abs() / pixel_x)
    curve = 1.1 - torch.maximum(low - y, y - high).clamp(min=0.0) / pixel_y
    curve = torch.where(x.abs() <= 1.0, curve, torch.zeros_like(curve))
    colour = x.new_tensor(PAPER).expand(len(x), 3)
    for coverage, ink in ((zero, ZERO), (1.0 - edge, FRAME), (curve, INK)):
        colour = torch.lerp(colour, x.new_tensor(ink), torch.nan_to_num(coverage).clamp(0.0, 1.0)[:, None])
    return colour


def _extent_during_pixel(
    network: Callable[[Tensor], Tensor], x: Float[Tensor, " m"], pixel: Float[Tensor, " m"]
) -> Tuple[Float[Tensor, "m c"], Float[Tensor, "m c"]]:
    """Smallest and largest value of each channel over the pixel's width around x, and a little more on either side.

    Time is cut into cells whose width is a power of two, the same for a whole picture if it is not seen at a slant, so
    that all pixels of a column see the same values. Neighbours share a cell, and so a steep curve stays connected.
    """
    exponent = torch.floor(torch.log2(pixel.double() / CELLS)).long()
    cell_width = torch.exp2(exponent.double())
    cell = torch.floor(x.double() / cell_width).long()
    reach = torch.ceil(pixel.double() / (2 * cell_width)).long()

    # One number for each (width, cell), with room for the neighbouring cells.
    first = cell.min() - CELLS
    span = cell.max() - first + CELLS + 1
    smallest = exponent.min()
    asked = ((exponent - smallest) * span + (cell - first)) * (CELLS + 1) + reach
    asked, pixel_index = torch.unique(asked, return_inverse=True)
    reach = (asked % (CELLS + 1))[:, None]
    neighbours = torch.arange(-CELLS, CELLS + 2, device=x.device)
    keys, window = torch.unique((asked // (CELLS + 1))[:, None] + neighbours, return_inverse=True)

    cells = keys % span + first
    width = torch.exp2((keys // span + smallest).double())
    times = (cells[:, None] + _times_in_cell(cells)) * width[:, None]
    values = network(times.clamp(-1.0, 1.0).to(x.dtype).reshape(-1, 1)).to(x).reshape(*times.shape, -1)
    # The far border of the last cell is the start of the next one.
    before, after = neighbours < -reach, neighbours > reach
    beyond = torch.stack([before | (neighbours > reach + 1), before | after], dim=-1)[..., None]
    lowest = values[window].masked_fill(beyond, torch.inf).amin((1, 2))
    highest = values[window].masked_fill(beyond, -torch.inf).amax((1, 2))
    return lowest[pixel_index], highest[pixel_index]


def _times_in_cell(cells: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
    """The start of each cell, where widths of different pixels meet, and a moment within it, in 0 … 1.

    The latter is scattered, as even times would show the beats between them and a tone; it is always the same for the
    same cell, so that nothing flickers.
    """
    mixed = (cells * 0x45D9F3B) % 2**32
    mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) % 2**32
    within = (mixed ^ (mixed >> 16)).double() * 2.0**-32
    return torch.stack([torch.zeros_like(within), within], dim=-1)
