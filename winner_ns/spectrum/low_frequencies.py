"""The low end of a target's magnitude spectrum, bin by bin, where two axes or more have a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np
from jaxtyping import Float, Shaped

MOST_CYCLES = 64
"""Bins: cycles over the domain, summed over the two axes. The spectrum size that FreSh's code recommends for SIREN."""
MOST_FRAMES = 8
"""Of three axes and more: planes of the last two, evenly spaced, that are looked at."""
MOST_SIDE = 1024
"""Samples along a side of a plane that are transformed; FreSh's code makes larger pictures smaller, too."""
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


def low_frequencies(samples: Shaped[np.ndarray, "*shape channels"], nyquist: Sequence[float]) -> LowFrequencies:
    """Measures samples on a grid of two axes or more.

    Args:
        samples: raw, channels last. What they are offset by does not matter: the constant is left out.
        nyquist: per axis, radians per unit of coordinate; 0 for an axis of one sample.

    Returns:
        The mean over evenly spaced planes of the last two axes. Of a picture with a side above MOST_SIDE, blocks of
        samples are averaged first.
    """
    shape = samples.shape[:-1]
    half_extent = tuple(np.pi * (n - 1) / (2 * f) if n > 1 else 0.0 for n, f in zip(shape, nyquist, strict=True))
    planes = samples.reshape(-1, *samples.shape[-3:])
    chosen = np.unique(np.linspace(0, len(planes) - 1, min(len(planes), MOST_FRAMES)).round().astype(int))
    magnitudes = np.mean([diagonal_magnitudes(_block_means(planes[number])) for number in chosen], axis=0)
    sides = (min(shape[-2], SIDE), min(shape[-1], SIDE))
    return LowFrequencies(magnitudes, sides, tuple(float(half) for half in half_extent))


def diagonal_magnitudes(plane: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, " k"]:
    """S_k: the magnitudes of the discrete Fourier transform of a plane, summed over channels and over all bins (i, j)
    with i + j = k, both from 0 to half of the side; k from 1 to MOST_CYCLES, or to as many as there are."""
    height, width, _ = plane.shape
    transform = np.abs(np.fft.fft2(plane, axes=(0, 1))).sum(axis=2)
    quadrant = transform[: height // 2 + 1, : width // 2 + 1]
    cycles = np.add.outer(np.arange(quadrant.shape[0]), np.arange(quadrant.shape[1]))
    # The constant is left out: it is the output bias's business.
    return np.bincount(cycles.ravel(), quadrant.ravel())[1 : MOST_CYCLES + 1]


def _block_means(plane: Shaped[np.ndarray, "h w c"]) -> Float[np.ndarray, "i j c"]:
    """The plane with at most MOST_SIDE samples along a side; what is left of a block at the end is left out."""
    steps = [-(-n // MOST_SIDE) for n in plane.shape[:2]]
    rows, columns = (n // step for n, step in zip(plane.shape[:2], steps))
    kept = plane[: rows * steps[0], : columns * steps[1]]
    blocks = kept.reshape(rows, steps[0], columns, steps[1], plane.shape[2])
    return blocks.mean(axis=(1, 3), dtype=np.float64)
