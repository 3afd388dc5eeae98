"""How much white noise there is in samples on a grid."""

from __future__ import annotations

import math
from typing import Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

MOST_SAMPLES = 2**22
"""Larger arrays are measured in their middle."""
MEDIAN_OF_NORMAL = 0.6744897501960817
"""Of the magnitude of a normal variable with deviation 1."""


def noise_deviation(
    samples: Shaped[np.ndarray, "*shape channels"],
    scale: float = 1.0,
    gaps: Optional[Bool[np.ndarray, "*shape"]] = None,
) -> float:
    """The standard deviation of white noise in samples on a grid.

    Second differences, 1 -2 1, along every axis with 3 samples or more take a smooth signal away and multiply the
    noise's variance by 6 each; the median of their magnitudes leaves edges aside. Texture as fine as the grid counts as
    noise, so that this is the most that noise can be, not less. (The estimate of Donoho and Johnstone, Biometrika 1994,
    section 4.2, with second differences in place of the finest wavelets.) A bright sound is all fine texture; as its
    lines leave most frequencies free, white noise is also no more than the median of the power over all frequencies.

    Args:
        samples: any real type, channels last.
        scale: what counts as 1.
        gaps: where the samples are no measurements; differences that would be made of those are left out, as long as
            there are others.

    Returns:
        It, the channels' together; 0 where no axis has 3 samples.
    """
    part = middle(samples.shape)
    values = samples[part].astype(np.float64)
    spread = _spectral_deviation(values)
    if gaps is not None:
        # What is filled in from neighbours has less of the noise.
        spread /= math.sqrt(max(1.0 - float(gaps[part].mean()), 1e-6))
    known = None if gaps is None else ~gaps[part]
    axes = [axis for axis in range(values.ndim - 1) if values.shape[axis] > 2]
    if not axes:
        return 0.0
    for axis in axes:
        values = np.diff(values, 2, axis=axis)
        if known is not None:
            known = np.moveaxis(known, axis, 0)
            known = np.moveaxis(known[:-2] & known[1:-1] & known[2:], 0, axis)
    differences = values.reshape(-1, values.shape[-1]) if known is None or not known.any() else values[known]
    deviations = np.median(np.abs(differences), axis=0) / MEDIAN_OF_NORMAL
    return min(float(np.sqrt(np.mean(deviations**2))) / 6 ** (len(axes) / 2), spread) / scale


def _spectral_deviation(values: Float[np.ndarray, "*shape channels"]) -> float:
    """That of white noise with the median power of the samples' lines; the least of all axes'."""
    import scipy.fft

    values = values - values.mean(axis=tuple(range(values.ndim - 1)))
    medians = [math.inf]
    for axis in range(values.ndim - 1):
        if values.shape[axis] > 2:
            # Strong lines leak less.
            window = np.hanning(values.shape[axis] + 2)[1:-1]
            shaped = (window / np.linalg.norm(window)).reshape(-1, *[1] * (values.ndim - 1 - axis))
            power = np.abs(np.asarray(scipy.fft.rfft(values * shaped, axis=axis))) ** 2
            medians.append(float(np.median(power)))
    # The power of white noise is exponentially distributed, whose median is log 2 of its mean.
    return math.sqrt(min(medians) / math.log(2))


def middle(shape: Tuple[int, ...]) -> Tuple[slice, ...]:
    """The part of an array of that shape, channels last, that has at most MOST_SAMPLES, from its middle."""
    axes, size = shape[:-1], math.prod(shape)
    share = min(1.0, (MOST_SAMPLES / max(1, size)) ** (1 / len(axes)))
    lengths = [min(n, max(64, round(n * share))) for n in axes]
    return tuple(slice((n - length) // 2, (n - length) // 2 + length) for n, length in zip(axes, lengths))
