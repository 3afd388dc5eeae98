"""What white noise adds to samples on a grid, and where the energy of the rest lies."""

from __future__ import annotations

import math
from typing import Sequence, Tuple

import numpy as np
import scipy.fft
from jaxtyping import Float, Shaped
from scipy.ndimage import uniform_filter1d

MOST_SAMPLES = 2**22
"""Larger arrays are measured in their middle."""
MEDIAN_OF_NORMAL = 0.6744897501960817
"""Of the magnitude of a normal variable with deviation 1."""


def noise_deviation(samples: Shaped[np.ndarray, "*shape channels"], scale: float = 1.0) -> float:
    """The standard deviation of white noise in samples on a grid.

    Second differences, 1 -2 1, along every axis with 3 samples or more take a smooth signal away and multiply the
    noise's variance by 6 each; the median of their magnitudes leaves edges aside. Texture as fine as the grid counts as
    noise, so that this is the most that noise can be, not less. (The estimate of Donoho and Johnstone, Biometrika 1994,
    section 4.2, with second differences in place of the finest wavelets.)

    Args:
        samples: any real type, channels last.
        scale: what counts as 1.

    Returns:
        It, the channels' together; 0 where no axis has 3 samples.
    """
    values = _middle(samples)
    axes = [axis for axis in range(values.ndim - 1) if values.shape[axis] > 2]
    if not axes:
        return 0.0
    for axis in axes:
        values = np.diff(values, 2, axis=axis)
    deviations = np.median(np.abs(values).reshape(-1, values.shape[-1]), axis=0) / MEDIAN_OF_NORMAL
    return float(np.sqrt(np.mean(deviations**2))) / 6 ** (len(axes) / 2) / scale


def denoised_frequency(
    samples: Shaped[np.ndarray, "*shape channels"], nyquist: Sequence[float], deviation: float
) -> float:
    """The centroid frequency of what white noise leaves of samples on a grid.

    Along each axis the power is averaged over all lines and over m neighbouring frequencies, m the odd number next to
    the root of their number over that of the lines, and the noise's share of it is taken away, with two deviations of
    that average: S = max(P - deviation² (1 + 2/sqrt(m lines)), 0). The centroid is that of sqrt(S).

    Args:
        samples: any real type, channels last.
        nyquist: per axis, radians per unit of coordinate.
        deviation: of the noise, on the samples' scale (`noise_deviation`).

    Returns:
        Radians per unit of coordinate, averaged over the axes; 0 where nothing is left.
    """
    values = _middle(samples)
    values = values - values.mean(axis=tuple(range(values.ndim - 1)))
    found = [
        highest * _centroid(np.moveaxis(values, axis, -1), deviation)
        for axis, highest in enumerate(nyquist)
        if values.shape[axis] > 1
    ]
    return float(np.mean(found))


def _centroid(values: Float[np.ndarray, "*others n"], deviation: float) -> float:
    """That of one axis, with 1 at Nyquist."""
    n = values.shape[-1]
    lines = values.reshape(-1, n)
    power = np.zeros(n // 2 + 1)
    for start in range(0, len(lines), step := max(1, 2**20 // n)):
        power += (np.abs(np.asarray(scipy.fft.rfft(lines[start : start + step]))) ** 2).sum(axis=0)
    power /= len(lines) * n
    neighbours = round(math.sqrt(n / len(lines)))
    neighbours = max(1, neighbours + 1 - neighbours % 2)
    power = uniform_filter1d(power, neighbours, mode="nearest")
    floor = deviation**2 * (1 + 2 / math.sqrt(neighbours * len(lines)))
    rest = np.sqrt(np.maximum(power - floor, 0.0))
    total = rest.sum()
    return float(2 * (scipy.fft.rfftfreq(n) * rest).sum() / total) if total > 0 else 0.0


def _middle(samples: Shaped[np.ndarray, "*shape channels"]) -> Float[np.ndarray, "*part channels"]:
    """At most MOST_SAMPLES of the middle, in double precision."""
    shape: Tuple[int, ...] = samples.shape[:-1]
    share = min(1.0, (MOST_SAMPLES / max(1, samples.size)) ** (1 / len(shape)))
    lengths = [min(n, max(64, round(n * share))) for n in shape]
    part = tuple(slice((n - length) // 2, (n - length) // 2 + length) for n, length in zip(shape, lengths))
    return samples[part].astype(np.float64)
