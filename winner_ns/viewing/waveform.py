"""Sounds as waveforms: what is smallest and largest while a pixel lasts, the curve itself from close by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.signals import GridSignal
from winner_ns.viewing.axes import Axes

CELLS = 8
"""Cells of time to a pixel's width."""
STRIPES, PEN_CELLS = 4, 9
"""Upright stripes of a pixel, every other cell; cells around a stripe's that the pen covers as well."""
REACH = STRIPES - 1 + PEN_CELLS // 2
"""Cells on either side of a pixel's middle one that its picture depends on."""

INNER = 2
"""Nodes within a cell that are looked at where it has many: with the borders' 24 to a pixel's width."""
DENSE = INNER + 1
"""Nodes in a cell up to which all of them are."""

PEN = PEN_CELLS / CELLS
"""Thickness of the curve in pixels."""
SPACED, FULL_DOT = 4.0, 2.75
"""Dots are drawn where samples are so many pixels apart; their largest radius in pixels."""

Ink = Tuple[float, float, float]
OPAQUE = 0.75
"""How much a curve covers of another one that it is drawn over."""
BLUE, DARK, RED = (0.13, 0.36, 0.66), (0.2, 0.2, 0.2), (0.78, 0.16, 0.13)


@dataclass(frozen=True)
class Cells:
    """Short pieces of time, in order.

    Their borders lie at multiples of their width, so that what is seen does not change when the view moves. All rays
    of a column of pixels share a window of them, and neighbouring columns most of theirs.
    """

    number: Int[Tensor, " k"]
    """A cell starts at number * width …"""
    width: Float[Tensor, " k"]
    """… in samples."""
    borders: Float[Tensor, " b"]
    """All starts and ends, in samples; neighbouring cells share one."""
    left: Int[Tensor, " k"]
    right: Int[Tensor, " k"]
    """Each cell's borders."""
    windows: Int[Tensor, "w 15"]
    """Cells around the middle of a pixel, REACH on either side."""
    window_of_ray: Int[Tensor, " m"]

    @classmethod
    def of_axes(cls, axes: Axes) -> Cells:
        """The cells that the rays see, at least one of these."""
        # Half an octave is close enough to a pixel's width; from the front, all pixels have one.
        size = torch.round(2 * torch.log2(axes.pixel_position)).long()
        smallest = size.min()
        number = torch.floor(axes.position / _cell_width(size)).long()
        first = number.min() - REACH
        span = number.max() - first + REACH + 2

        # One key for each (size, number); the next cell's is one more.
        keys, window_of_ray = torch.unique((size - smallest) * span + number - first, return_inverse=True)
        keys, windows = torch.unique(keys[:, None] + torch.arange(-REACH, REACH + 1), return_inverse=True)
        border_keys, of_cell = torch.unique(torch.cat([keys, keys + 1]), return_inverse=True)
        borders = (border_keys % span + first) * _cell_width(border_keys // span + smallest)
        left, right = of_cell.view(2, -1)
        number, width = keys % span + first, _cell_width(keys // span + smallest)
        return cls(number, width, borders, left, right, windows, window_of_ray)


def _cell_width(size: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
    return torch.exp2(size.double() / 2) / CELLS


Extent = Tuple[Float[Tensor, "k c"], Float[Tensor, "k c"]]
"""Smallest and largest values."""


@dataclass(frozen=True)
class Curve:
    """Values at nodes, evenly spaced in time, and straight lines between them."""

    values: Callable[[Int[Tensor, " k"]], Float[Tensor, "k c"]]
    """Values of nodes, in -1 … 1 to be within their lanes."""
    first: int
    """Node at the sound's first sample …"""
    last: int
    """… and at its last."""
    extent: Optional[Callable[[Int[Tensor, " k"], Int[Tensor, " k"]], Extent]] = None
    """Of all nodes from one to another, that one not included; where missing, some of the nodes stand for all."""
    dots: bool = False
    """Whether the nodes are samples, to be seen as such from close by."""


class SamplePeaks:
    """Smallest and largest samples of any part of a sound, from those of blocks, and of blocks of blocks.

    Reads the samples once, in pieces; the blocks take a twenty-eighth of the samples' memory.
    """

    SMALLEST, FACTOR, PIECE = 64, 8, 2**20

    def __init__(self, signal: GridSignal) -> None:
        self._signal = signal
        samples, size = signal.samples, self.SMALLEST
        pieces = [_block_peaks(samples[i : i + self.PIECE], None, size) for i in range(0, len(samples), self.PIECE)]
        low, high = (np.concatenate(parts) for parts in zip(*pieces))
        self._levels: List[Tuple[int, np.ndarray, np.ndarray]] = [(1, samples, samples), (size, low, high)]
        while len(low) > self.FACTOR:
            low, high = _block_peaks(low, high, self.FACTOR)
            size *= self.FACTOR
            self._levels.append((size, low, high))

    def extent(self, start: Int[Tensor, " k"], stop: Int[Tensor, " k"]) -> Extent:
        """Smallest and largest values from the samples `start` up to `stop`, that one not included.

        Exact for up to 512 samples; longer parts begin and end with whole blocks and so may be larger, by at most an
        eighth at either end.
        """
        first, after = start.numpy(), stop.numpy()
        result = np.empty((2, len(first), self._signal.channels))
        sizes = np.array([size for size, _, _ in self._levels])
        level = np.searchsorted(sizes * self.FACTOR, after - first, side="right") - 1
        for i in np.unique(np.maximum(level, 0)):
            size, low, high = self._levels[i]
            chosen = np.maximum(level, 0) == i
            ranges = np.stack([first[chosen] // size, -(-after[chosen] // size)], axis=1)
            for part, (values, of_range) in enumerate(((low, np.minimum), (high, np.maximum))):
                piece = values[ranges.min() : ranges.max()]
                piece = np.concatenate([piece, piece[-1:]])  # `reduceat` takes no range's end beyond the array.
                for channel in range(result.shape[2]):
                    flat = np.ascontiguousarray(piece[:, channel])
                    result[part, chosen, channel] = of_range.reduceat(flat, (ranges - ranges.min()).reshape(-1))[::2]
        values = (result - self._signal.value_offset) / self._signal.value_scale
        low, high = torch.from_numpy(values.astype(np.float32))
        return low, high


def _block_peaks(low: np.ndarray, high: Optional[np.ndarray], size: int) -> Tuple[np.ndarray, np.ndarray]:
    starts = np.arange(0, len(low), size)
    return np.minimum.reduceat(low, starts), np.maximum.reduceat(low if high is None else high, starts)


@torch.no_grad()
def draw_waveform(
    axes: Axes,
    cells: Callable[[], Cells],
    curve: Curve,
    ink: Ink,
    over: Optional[Float[Tensor, "m 3"]] = None,
) -> Float[Tensor, "m 3"]:
    """The curve on paper.

    What it covers of a pixel is found in four upright stripes of it: in each, the curve is a bar from the smallest to
    the largest value that it has within half a pen's width. So slopes are smooth and steep ones stay connected.

    Args:
        axes: the panel's.
        cells: gives those of the axes; several curves may share them.
        curve: what is drawn.
        ink: its colour.
        over: what it is drawn over, in place of empty paper, which is seen through it.
    """
    colour = axes.paper() if over is None else over
    if not len(colour):
        return colour
    lowest, highest = _in_stripes(_cell_extents(curve, axes, cells()), cells().windows)
    low, high = (values.transpose(1, 2)[cells().window_of_ray, axes.lane] for values in (lowest, highest))
    pixel = axes.pixel_level[:, None]
    upper = torch.minimum(high + PEN / 2 * pixel, axes.level[:, None] + pixel / 2)
    lower = torch.maximum(low - PEN / 2 * pixel, axes.level[:, None] - pixel / 2)
    coverage = ((upper - lower).clamp(min=0.0) / pixel).mean(1)

    coverage = torch.nan_to_num(coverage).clamp(0.0, 1.0)
    if curve.dots:
        # The line between the dots is a help for the eye, the dots are what is known.
        spacing = 1.0 / axes.pixel_position
        coverage = coverage * (1.0 - 0.5 * ((spacing - SPACED) / SPACED).clamp(0.0, 1.0))
        colour = _inked(colour, ink, coverage)
        coverage = _dots(curve, axes, spacing)
    return _inked(colour, ink, coverage if over is None else OPAQUE * coverage)


def _inked(colour: Float[Tensor, "m 3"], ink: Ink, coverage: Tensor) -> Float[Tensor, "m 3"]:
    return torch.lerp(colour, torch.tensor(ink), torch.nan_to_num(coverage).clamp(0.0, 1.0).float()[:, None])


def _dots(curve: Curve, axes: Axes, spacing: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """How much of each pixel the nearest sample's dot covers."""
    coverage = torch.zeros(len(spacing))
    node = torch.round(axes.position).long()
    chosen = (spacing > SPACED) & (node >= curve.first) & (node <= curve.last)
    if not chosen.any():
        return coverage
    nodes, inverse = torch.unique(node[chosen], return_inverse=True)
    value = curve.values(nodes)[inverse, axes.lane[chosen]]
    across = (axes.position[chosen] - node[chosen]) / axes.pixel_position[chosen]
    along = (axes.level[chosen] - value) / axes.pixel_level[chosen]
    radius = (0.3 * spacing[chosen]).clamp(max=FULL_DOT)
    coverage[chosen] = (radius + 0.5 - torch.hypot(across.float(), along)).clamp(0.0, 1.0).float()
    return coverage


def _in_stripes(extent: Extent, windows: Int[Tensor, "w 15"]) -> Extent:
    """Extents [w, 4, c] in four stripes of each window's middle pixel, half a pen's width and more on either side."""
    low, high = (values[windows].unfold(1, PEN_CELLS, 2) for values in extent)
    return low.amin(-1).float(), high.amax(-1).float()


def _cell_extents(curve: Curve, axes: Axes, cells: Cells) -> Extent:
    """Extents in all cells, borders included, so that neighbours touch; (inf, -inf) beside the sound."""
    scale = (curve.last - curve.first) / axes.last
    start, end = (cells.borders[side] * scale + curve.first for side in (cells.left, cells.right))
    low = torch.full((len(start), axes.lanes), torch.inf)
    high = torch.full((len(start), axes.lanes), -torch.inf)
    during = (end > curve.first) & (start < curve.last)
    start, end = (side.clamp(curve.first, curve.last) for side in (start, end))
    dense = cells.width * scale <= DENSE
    for chosen, extent in ((during & dense, _of_lines), (during & ~dense, _of_nodes)):
        if chosen.any():
            low[chosen], high[chosen] = extent(curve, cells, chosen, start[chosen], end[chosen])
    return low, high


def _of_lines(curve: Curve, cells: Cells, chosen: Tensor, start: Tensor, end: Tensor) -> Extent:
    """Where cells have few nodes: of the lines through them, exactly."""
    first = torch.floor(start).clamp(max=curve.last - 1)
    nodes = (first[:, None] + torch.arange(DENSE + 2)).clamp(max=curve.last)
    unique, inverse = torch.unique(nodes.long(), return_inverse=True)
    values = curve.values(unique).float()[inverse]

    def at(place: Tensor) -> Tensor:
        before = torch.minimum(torch.floor(place), first + DENSE).clamp(max=curve.last - 1)
        index = (before - first).long()[:, None, None].expand(-1, 1, values.shape[2])
        pair = [values.gather(1, index + i)[:, 0] for i in (0, 1)]
        return torch.lerp(*pair, (place - before)[:, None].to(values))

    at_borders = torch.stack([at(start), at(end)], dim=1)
    outside = ((nodes <= start[:, None]) | (nodes >= end[:, None]))[..., None]
    low = torch.minimum(at_borders.amin(1), values.masked_fill(outside, torch.inf).amin(1))
    return low, torch.maximum(at_borders.amax(1), values.masked_fill(outside, -torch.inf).amax(1))


def _of_nodes(curve: Curve, cells: Cells, chosen: Tensor, start: Tensor, end: Tensor) -> Extent:
    """Where cells have many nodes: of all of them, or of those at the borders and some in between."""
    if curve.extent is not None:
        return curve.extent(torch.floor(start).long(), torch.floor(end).long() + 1)
    inner = start[:, None] + (end - start)[:, None] * _scattered(cells.number[chosen])
    nodes = torch.cat([start[:, None], end[:, None], inner], dim=1).round().long()
    unique, inverse = torch.unique(nodes, return_inverse=True)
    values = curve.values(unique).float()[inverse]
    return values.amin(1), values.amax(1)


def _scattered(numbers: Int[Tensor, " k"]) -> Float[Tensor, "k i"]:
    """INNER places within each cell, in 0 … 1.

    Even ones would show the beats between them and a tone; these are always the same for the same cell, so that
    nothing flickers.
    """
    mixed = numbers[:, None] * INNER + torch.arange(INNER)
    for _ in range(2):
        mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) % 2**32
    within = (mixed ^ (mixed >> 16)).double() * 2.0**-32
    return (torch.arange(INNER) + within) / INNER
