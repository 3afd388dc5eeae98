"""A target on the regular grid that its spectrum is measured on: lines through it, and small pieces of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.fitting.grid_target import GridTarget
from winner_ns.fitting.shape_target import ShapeTarget
from winner_ns.fitting.target import Target
from winner_ns.shape_losses import SHAPE_LOSSES
from winner_ns.spectrum.measure import SHAPE_RESOLUTION, shape_target

MOST_LINES = 64
"""Lines along an axis that stand for all of them."""
MOST_LINE_SAMPLES = 2**18
"""Samples on the lines along an axis, in all."""
MOST_PIECES = 64
"""Pieces among which the liveliest is looked for."""


@dataclass(frozen=True)
class SampledTarget:
    """What a field is trained on, at the points of a regular grid.

    Signals on a grid: all samples of it, withheld ones too. Shapes have no sampling of their own: their training target
    on SHAPE_RESOLUTION^3 points of the unit cube, the grid that their spectrum is drawn on.
    """

    shape: Tuple[int, ...]
    half_extent: Tuple[float, ...]
    """Per axis, the coordinate of the last sample; the first one's is its negative."""
    channels: int
    values_at: Callable[[Float[np.ndarray, "n d"], np.ndarray], Float[np.ndarray, "n c"]]
    """Values from coordinates and flat (row-major) indices."""

    @property
    def axes(self) -> Tuple[int, ...]:
        """Those with more than one sample."""
        return tuple(axis for axis, n in enumerate(self.shape) if n > 1)

    def spacing(self, axis: int) -> float:
        """Between two samples, in units of coordinate."""
        return 2.0 * self.half_extent[axis] / (self.shape[axis] - 1)

    def nyquist(self, axis: int) -> float:
        """Radians per unit of coordinate."""
        return math.pi / self.spacing(axis)

    def at(self, *indices: np.ndarray) -> Tuple[Float[Tensor, "n d"], Float[np.ndarray, "n c"]]:
        """Coordinates and values of the samples with these indices along each axis."""
        # In double precision: the spacing of an hour of audio is below float32's resolution at 1.
        columns = [
            (2.0 * index / max(n - 1, 1) - 1.0) * extent
            for index, n, extent in zip(indices, self.shape, self.half_extent, strict=True)
        ]
        coordinates = np.stack(columns, axis=-1).astype(np.float32)
        return torch.from_numpy(coordinates), self.values_at(coordinates, np.ravel_multi_index(indices, self.shape))

    def lines(self, axis: int) -> Tuple[Float[Tensor, "l n d"], Float[np.ndarray, "l n c"]]:
        """Evenly spaced lines of neighbouring samples along an axis: coordinates and values.

        A line that is longer than MOST_LINE_SAMPLES is represented by that many samples from its middle.
        """
        length = min(self.shape[axis], MOST_LINE_SAMPLES)
        others = [1 if a == axis else n for a, n in enumerate(self.shape)]
        number = min(math.prod(others), MOST_LINES, max(MOST_LINE_SAMPLES // length, 1))
        chosen = _evenly(math.prod(others), number)
        along = np.arange(length) + (self.shape[axis] - length) // 2
        indices = [
            np.broadcast_to(along if a == axis else index[:, None], (number, length)).ravel()
            for a, index in enumerate(np.unravel_index(chosen, others))
        ]
        coordinates, values = self.at(*indices)
        return coordinates.view(number, length, -1), values.reshape(number, length, -1)

    def piece(self, points: int) -> Tuple[Tuple[int, ...], Float[Tensor, "n d"], Float[np.ndarray, "n c"]]:
        """A block of neighbouring samples, as long along each axis as along the others where the grid allows it.

        Of MOST_PIECES pieces that are evenly spaced along each axis, the one whose values vary most.

        Args:
            points: samples in the piece, at most.

        Returns:
            The piece's shape, its coordinates and its values (row-major).
        """
        sides = piece_sides(self.shape, points)
        per_axis = max(round(MOST_PIECES ** (1.0 / max(len(self.axes), 1))), 1)
        starts = [
            np.unique(np.linspace(0, n - side, per_axis).round().astype(int))
            for n, side in zip(self.shape, sides, strict=True)
        ]
        best = None
        for corner in np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, len(sides)):
            block = np.meshgrid(*(c + np.arange(side) for c, side in zip(corner, sides, strict=True)), indexing="ij")
            coordinates, values = self.at(*(index.ravel() for index in block))
            variance = float(values.var(axis=0).mean())
            if best is None or variance > best[0]:
                best = variance, coordinates, values
        assert best is not None
        return sides, *best[1:]


def sampled_target(target: Target) -> SampledTarget:
    """What a field would be trained on, on a grid, as its kind says."""
    return target.row.get("sampled")(target)


def sampled_grid(target: GridTarget) -> SampledTarget:
    """All samples of a grid, withheld ones too."""
    signal = target.signal
    return SampledTarget(
        signal.shape, signal.half_extent, signal.channels, lambda _, indices: target.at(indices)[1].numpy()
    )


def sampled_shape(target: ShapeTarget) -> SampledTarget:
    """A shape's target on the grid of SHAPE_RESOLUTION^3 points that its spectrum is drawn on."""
    function = shape_target(target.signal, squashed=SHAPE_LOSSES[target.loss].squashed)
    return SampledTarget(
        (SHAPE_RESOLUTION,) * 3,
        (1.0,) * 3,
        1,
        lambda coordinates, _: function(coordinates.astype(np.float64))[:, None].astype(np.float32),
    )


def piece_sides(shape: Tuple[int, ...], points: int) -> Tuple[int, ...]:
    """The sides of a block of at most so many points, as equal as the grid allows."""
    sides, left = [1] * len(shape), points
    # The shortest axes first: what they cannot take, the others get.
    order = sorted((axis for axis, n in enumerate(shape) if n > 1), key=lambda axis: shape[axis])
    for rank, axis in enumerate(order):
        equal = math.floor(left ** (1.0 / (len(order) - rank)) + 1e-9)
        sides[axis] = max(min(shape[axis], equal), 1)
        left //= sides[axis]
    return tuple(sides)


def _evenly(size: int, number: int) -> np.ndarray:
    """So many numbers below size, in the middles of as many equal parts."""
    return ((np.arange(number) + 0.5) * size / number).astype(np.int64)
