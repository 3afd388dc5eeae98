"""Where the energy of samples lies that white noise has been added to, without the noise's own."""

from __future__ import annotations

import math
from typing import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.spectrum.white_noise import middle

SPREAD = 0.2
"""Of a frequency: how far to either side the power is averaged, at most."""
CERTAIN = 4.0
"""Deviations: with two, the many frequencies that stand out by chance moved the centroid of a slow sound of 20,000
samples from 0.001 of Nyquist to 0.06."""


def denoised_frequency(
    samples: Shaped[np.ndarray, "*shape channels"],
    nyquist: Sequence[float],
    deviation: float,
    gaps: float = 0.0,
) -> float:
    """The centroid frequency of what white noise leaves of samples on a grid.

    Along each axis the power P is averaged over all lines and over m neighbouring frequencies. Where it is above the
    noise's by CERTAIN deviations of such an average, P > deviation² (1 + CERTAIN/sqrt(m lines)), what is above the
    noise's counts, S = P - deviation², elsewhere nothing. The centroid is that of sqrt(S). m is the root of the number
    of frequencies over that of the lines, but no wider than SPREAD of the frequency itself to either side, so that slow
    signals are not smeared towards faster ones.

    Args:
        samples: any real type, channels last.
        nyquist: per axis, radians per unit of coordinate.
        deviation: of the noise, on the samples' scale (`noise_deviation`).
        gaps: share of the samples that were filled in as the mean of their neighbours. Along an axis such noise has the
            covariance `gaps` with its neighbours', and at the lowest frequencies 1 + 1.5 gaps times the power.

    Returns:
        Radians per unit of coordinate, averaged over the axes; 0 where nothing is left.
    """
    values = samples[middle(samples.shape)].astype(np.float64)
    values = values - values.mean(axis=tuple(range(values.ndim - 1)))
    found = [
        highest * _centroid(np.moveaxis(values, axis, -1), deviation, gaps)
        for axis, highest in enumerate(nyquist)
        if values.shape[axis] > 1
    ]
    return float(np.mean(found))


def _centroid(values: Float[np.ndarray, "*others n"], deviation: float, gaps: float) -> float:
    """That of one axis, with 1 at Nyquist."""
    import scipy.fft

    n = values.shape[-1]
    lines = values.reshape(-1, n)
    power = np.zeros(n // 2 + 1)
    for start in range(0, len(lines), step := max(1, 2**20 // n)):
        power += (np.abs(np.asarray(scipy.fft.rfft(lines[start : start + step]))) ** 2).sum(axis=0)
    power /= len(lines) * n
    place = np.arange(len(power))
    reach = np.minimum(SPREAD * place, math.sqrt(n / len(lines)) / 2).astype(np.int64)
    first, end = place - reach, np.minimum(place + reach + 1, len(power))
    total = np.concatenate([[0.0], np.cumsum(power)])
    mean = (total[end] - total[first]) / (end - first)
    certain = mean > deviation**2 * (1 + CERTAIN / np.sqrt((end - first) * len(lines)) + 1.5 * gaps)
    rest = np.sqrt(np.where(certain, mean - deviation**2, 0.0))
    whole = rest.sum()
    return float(2 * (scipy.fft.rfftfreq(n) * rest).sum() / whole) if whole > 0 else 0.0
