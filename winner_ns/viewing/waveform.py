"""Sounds as waveforms in the plane z = 0: time to the right, amplitude upwards."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.viewing.background import background_depth
from winner_ns.viewing.plane import plane_points

HALF_HEIGHT = 0.5
"""The waveform takes |y| <= HALF_HEIGHT and |x| <= 1."""
CELLS = 4
"""The time of a pixel's width is cut into so many cells, which neighbouring pixels share."""
TIMES_IN_CELL = (0.0, 0.29, 0.53, 0.74)
"""Where in a cell the sound is asked for; uneven, so that no tone falls onto the same phase each time."""
WIDTHS_PER_OCTAVE = 4

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
    editors; from close by that is the curve itself, one pixel thick. The network is asked for about 16 times per
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
    pixel = depth[:, 0] * pixel_area[:, 0].sqrt()
    x, y = points.unbind(-1)
    inside = meets & (x.abs() <= 1.0 + pixel) & (y.abs() <= HALF_HEIGHT + pixel)
    colour = torch.ones_like(origins)
    if inside.any():
        colour[inside] = _panel(network, x[inside], y[inside], pixel[inside]).to(colour)
    depth = torch.where(inside[:, None], depth, background_depth(origins, directions))
    return {"field": colour, "depth": depth, "accumulation": inside[:, None].to(colour)}


def _panel(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, " m"],
    y: Float[Tensor, " m"],
    pixel: Float[Tensor, " m"],
) -> Float[Tensor, "m 3"]:
    """Colours within the frame."""
    lowest, highest = _extent_during_pixel(network, x, pixel)
    channels = lowest.shape[1]
    lane_height = 2 * HALF_HEIGHT / channels
    lane = ((HALF_HEIGHT - y) / lane_height).long().clamp(0, channels - 1)
    center = HALF_HEIGHT - (lane + 0.5) * lane_height
    low, high = (center + torch.gather(a, 1, lane[:, None])[:, 0] * (lane_height / 2) for a in (lowest, highest))

    # What a line covers of a pixel falls from 1 to 0 within one pixel's width.
    curve = 1.1 - torch.maximum(low - y, y - high).clamp(min=0.0) / pixel
    zero = 1.0 - (y - center).abs() / pixel
    to_border = torch.minimum((y - center).abs() - lane_height / 2, 0 * y).abs()
    frame = 1.0 - torch.minimum(to_border, (1.0 - x.abs()).abs()) / pixel
    curve = torch.where(x.abs() <= 1.0, curve, torch.zeros_like(curve))
    colour = x.new_tensor(PAPER).expand(len(x), 3)
    for coverage, ink in ((zero, ZERO), (frame, FRAME), (curve, INK)):
        colour = torch.lerp(colour, x.new_tensor(ink), torch.nan_to_num(coverage).clamp(0.0, 1.0)[:, None])
    return colour


def _extent_during_pixel(
    network: Callable[[Tensor], Tensor], x: Float[Tensor, " m"], pixel: Float[Tensor, " m"]
) -> Tuple[Float[Tensor, "m c"], Float[Tensor, "m c"]]:
    """Smallest and largest value of each channel over the pixel's width around x, and a little more on either side.

    The width is rounded up, so that neighbours overlap and a steep curve stays connected.
    """
    octave = torch.ceil(torch.log2(pixel.double()) * WIDTHS_PER_OCTAVE).long()
    cell = torch.floor(x.double() / _cell_width(octave)).long()
    widths, width_index = torch.unique(octave, return_inverse=True)

    # One number for each (width, cell), with room for the neighbouring cells.
    reach = CELLS // 2
    first = cell.min() - reach
    span = int(cell.max() - first) + reach + 1
    pixel_keys, key_index = torch.unique(width_index * span + (cell - first), return_inverse=True)
    window = pixel_keys[:, None] + torch.arange(-reach, reach + 1, device=x.device)
    keys, window_index = torch.unique(window, return_inverse=True)

    width = _cell_width(widths[torch.div(keys, span, rounding_mode="floor")])
    start = (keys % span + first) * width
    times = start[:, None] + width[:, None] * torch.tensor(TIMES_IN_CELL, dtype=torch.float64, device=x.device)
    values = network(times.clamp(-1.0, 1.0).to(x.dtype).reshape(-1, 1)).to(x)
    values = values.reshape(len(keys), len(TIMES_IN_CELL), -1)
    lowest = values.amin(1)[window_index].amin(1)
    highest = values.amax(1)[window_index].amax(1)
    return lowest[key_index], highest[key_index]


def _cell_width(octave: Tensor) -> Float[Tensor, " m"]:
    return torch.exp2(octave.double() / WIDTHS_PER_OCTAVE) / CELLS
