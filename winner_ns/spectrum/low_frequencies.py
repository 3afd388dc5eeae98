"""The low end of a target's magnitude spectrum, bin by bin, where two axes or more have a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.mapped import forget_pages

MOST_CYCLES = 64
"""Bins: cycles over the domain, summed over the two axes. The spectrum size that FreSh's code recommends for SIREN."""
MOST_FRAMES = 8
"""Of three axes and more: planes of the last two, evenly spaced, that are looked at."""
MOST_SIDE = 1024
"""Samples along a side of a plane that are transformed; FreSh's code makes larger pictures smaller, too."""
_BAND = 2**22
"""Numbers that are read in one go."""
SIDE = 2 * MOST_CYCLES
"""Samples along a side at which a field shows all bins."""


@dataclass(frozen=True)
class LowFrequencies:
    """What was measured, and on what grid a field is looked at in the same way."""

    magnitudes: Float[np.ndarray, " k"]
    """Of 1 … k cycles over the domain, k at most MOST_CYCLES (`diagonal_magnitudes`)."""
    shape: Tuple[int, int]
    """Samples of a plane's two axes that show as many cycles; at most SIDE."""
    half_extent: Tuple[float, ...]
    """Per axis, leading ones first: coordinates reach from minus that to that."""


def low_frequencies(
    samples: Shaped[np.ndarray, "*shape channels"],
    nyquist: Sequence[float],
    read: Optional[Callable[[Tuple[slice, ...]], Shaped[np.ndarray, "*part channels"]]] = None,
) -> LowFrequencies:
    """Measures samples on a grid of two axes or more.

    Args:
        samples: raw, channels last. What they are offset by does not matter: the constant is left out.
        nyquist: per axis, radians per unit of coordinate; 0 for an axis of one sample.
        read: gives what a part of the grid is looked at as; None: its samples.

    Returns:
        The mean over evenly spaced planes of the last two axes. Of a picture with a side above MOST_SIDE, blocks of
        samples are averaged first.
    """
    shape = samples.shape[:-1]
    half_extent = tuple(np.pi * (n - 1) / (2 * f) if n > 1 else 0.0 for n, f in zip(shape, nyquist, strict=True))
    planes = math.prod(shape[:-2])
    chosen = np.unique(np.linspace(0, planes - 1, min(planes, MOST_FRAMES)).round().astype(int))
    read = samples.__getitem__ if read is None else read
    magnitudes = []
    for number in chosen:
        plane = tuple(slice(int(at), int(at) + 1) for at in np.unravel_index(number, shape[:-2]))
        magnitudes.append(diagonal_magnitudes(_block_means(samples.shape[-3:], plane, read)))
        forget_pages(samples)
    sides = (min(shape[-2], SIDE), min(shape[-1], SIDE))
    return LowFrequencies(np.mean(magnitudes, axis=0), sides, tuple(float(half) for half in half_extent))


def diagonal_magnitudes(plane: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, " k"]:
    """S_k: the magnitudes of the discrete Fourier transform of a plane, summed over channels and over all bins (i, j)
    with i + j = k, both from 0 to half of the side; k from 1 to MOST_CYCLES, or to as many as there are."""
    height, width, _ = plane.shape
    transform = np.abs(np.fft.fft2(plane, axes=(0, 1))).sum(axis=2)
    quadrant = transform[: height // 2 + 1, : width // 2 + 1]
    cycles = np.add.outer(np.arange(quadrant.shape[0]), np.arange(quadrant.shape[1]))
    # The constant is left out: it is the output bias's business.
    return np.bincount(cycles.ravel(), quadrant.ravel())[1 : MOST_CYCLES + 1]


def _block_means(
    shape: Tuple[int, ...],
    plane: Tuple[slice, ...],
    read: Callable[[Tuple[slice, ...]], Shaped[np.ndarray, "*ones rows w c"]],
) -> Float[np.ndarray, "i j c"]:
    """A plane with at most MOST_SIDE samples along a side; what is left of a block at the end is left out.

    Args:
        shape: of the plane, [h, w, c].
        plane: where it lies along the axes before its own.
        read: gives a part of the grid.
    """
    height, width, channels = shape
    down, across = (-(-n // MOST_SIDE) for n in (height, width))
    rows, columns = height // down, width // across
    means, at_once = np.empty((rows, columns, channels)), max(1, _BAND // (down * width * channels))
    for start in range(0, rows, at_once):
        count = min(at_once, rows - start)
        band = read((*plane, slice(start * down, (start + count) * down))).reshape(-1, width, channels)
        blocks = band[:, : columns * across].reshape(count, down, columns, across, channels)
        means[start : start + count] = blocks.mean(axis=(1, 3), dtype=np.float64)
    return means
