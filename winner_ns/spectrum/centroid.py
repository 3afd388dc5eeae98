"""Spectral centroids: where a target's energy lies, with 1 at the Nyquist frequency.

Definition (arXiv 2509.12980, section on the spectral centroid): psi = 2 Σ f |Y(f)| / Σ |Y(f)| over the discrete
Fourier transform's frequencies f from 0 to 1/2 cycle per sample; magnitudes, not powers; the DC bin counts.
"""

from __future__ import annotations

from typing import Iterator, Optional

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.mapped import forget_pages, in_bands

LONGEST_TRANSFORM = 2**22
"""Samples of the longest single transform; a longer line is cut into pieces of this length."""
BLOCK_SAMPLES = 2**22
"""Samples that are converted and transformed at a time."""
MOST_SAMPLES = 2**26
"""Samples looked at along each axis; of a larger array evenly spaced lines are taken."""


def spectral_centroid(
    samples: Shaped[np.ndarray, "*shape channels"],
    axis: Optional[int] = None,
    *,
    offset: float = 0.0,
    remove_mean: bool = False,
) -> float:
    """Spectral centroid of samples on a regular grid, in (0, 1) with 1 at Nyquist.

    Along one axis it is the mean over all lines (and channels) of each line's own magnitude-weighted mean frequency;
    over all axes, the mean of the axes' centroids. Lines without any energy are left out. A constant has 0.

    Memory beside the samples is bounded: blocks of lines are transformed at a time, lines longer than
    LONGEST_TRANSFORM in pieces whose sums are added up, and beyond MOST_SAMPLES evenly spaced lines stand for all.

    Args:
        samples: any real type, channels last; may be memory-mapped.
        axis: the axis along which to transform (the channels don't count); None: all, averaged (isotropic).
        offset: the raw value that counts as zero (the DC bin counts, so 8-bit samples and the same samples in
            [-1, 1] differ by it).
        remove_mean: subtract each channel's mean over the whole array instead.

    Returns:
        psi.

    Raises:
        ValueError: fewer than two samples along every axis that was asked for.
    """
    axes = [a for a in range(samples.ndim - 1) if samples.shape[a] > 1] if axis is None else [axis]
    if not axes or any(samples.shape[a] < 2 for a in axes):
        raise ValueError(
            f"a spectral centroid needs at least 2 samples along an axis, got the shape {samples.shape[:-1]}"
        )
    zero = channel_means(samples) if remove_mean else np.full(samples.shape[-1], offset)
    return float(np.mean([_centroid_along(samples, a, zero) for a in axes]))


def channel_means(samples: Shaped[np.ndarray, "*shape channels"]) -> Float[np.ndarray, " channels"]:
    """Each channel's mean over the whole array, in float64, without a converted copy of it."""
    flat, total = samples.reshape(-1, samples.shape[-1]), np.zeros(samples.shape[-1])
    for start in range(0, len(flat), BLOCK_SAMPLES):
        total += flat[start : start + BLOCK_SAMPLES].sum(axis=0, dtype=np.float64)
        forget_pages(samples)
    return total / len(flat)


def _centroid_along(samples: np.ndarray, axis: int, zero: np.ndarray) -> float:
    """The mean over lines along `axis` of their centroids."""
    import scipy.fft

    lines = np.moveaxis(samples, axis, -1)  # [*others, channels, n]
    n = lines.shape[-1]
    stride = -(-samples.size // MOST_SAMPLES)
    if stride > 1 and lines.ndim > 2:
        lines = lines[::stride]
    total, count = 0.0, 0
    for block in _blocks(lines):
        weighted, magnitude, peak = np.zeros(block.shape[:-1]), np.zeros(block.shape[:-1]), 0.0
        for start in range(0, n, LONGEST_TRANSFORM):
            piece = in_bands(block[..., start : start + LONGEST_TRANSFORM])
            if piece.shape[-1] < min(n, LONGEST_TRANSFORM):
                break  # A shorter rest would count with other frequencies; the pieces before it speak for it.
            peak = max(peak, abs(float(piece.max())), abs(float(piece.min())))
            transform = np.asarray(scipy.fft.rfft((piece - zero[:, None]).astype(np.float32), workers=-1))
            spectrum = np.abs(transform)
            weighted += spectrum @ scipy.fft.rfftfreq(piece.shape[-1]) * 2.0
            magnitude += spectrum.sum(axis=-1, dtype=np.float64)
            forget_pages(lines)
        # What rounding leaves of a line that equals the mean is not a spectrum.
        audible = magnitude > 1e-6 * n * max(peak, 1e-300)
        total += float((weighted[audible] / magnitude[audible]).sum())
        count += int(audible.sum())
    return total / count if count else 0.0


def _blocks(lines: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of [*others, channels, n] with at most BLOCK_SAMPLES samples (at least one line of all channels)."""
    if lines.size <= BLOCK_SAMPLES or lines.ndim <= 2:
        yield lines
        return
    per_index = lines[0].size
    if per_index > BLOCK_SAMPLES:
        for sub in lines:
            yield from _blocks(sub)
        return
    step = max(1, BLOCK_SAMPLES // per_index)
    for start in range(0, len(lines), step):
        yield lines[start : start + step]
