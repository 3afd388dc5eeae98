"""Spectral centroids: where a target's energy lies, with 1 at the Nyquist frequency.

Definition (arXiv 2509.12980, section on the spectral centroid): psi = 2 Σ f |Y(f)| / Σ |Y(f)| over the discrete
Fourier transform's frequencies f from 0 to 1/2 cycle per sample; magnitudes, not powers; the DC bin counts.
"""

from __future__ import annotations

from typing import Iterator, Optional, Sequence

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.mapped import MAPPED_BUDGET, forget_pages, in_bands
from winner_ns.spectrum.moments import channel_moments

LONGEST_TRANSFORM = 2**22
"""Samples of the longest single transform; a longer line is cut into pieces of this length."""
BLOCK_SAMPLES = 2**20
"""Samples that are converted and transformed at a time."""
MOST_SAMPLES = 2**26
"""Samples looked at along each axis; of a larger array evenly spaced lines, or pieces of one, are taken."""


def spectral_centroid(
    samples: Shaped[np.ndarray, "*shape channels"],
    axis: Optional[int] = None,
    *,
    offset: float = 0.0,
    remove_mean: bool = False,
) -> float:
    """Spectral centroid of samples on a regular grid, in (0, 1) with 1 at Nyquist.

    >>> import numpy, winner_ns
    >>> tone = numpy.cos(numpy.pi / 4 * numpy.arange(800))[:, None]  # a quarter of Nyquist; [n, channels]
    >>> round(winner_ns.spectral_centroid(tone), 4)
    0.25

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
    zero = channel_moments(samples)[0] if remove_mean else np.full(samples.shape[-1], offset)
    return float(np.mean([line_centroids(samples, a, [zero])[0] for a in axes]))


def line_centroids(
    samples: Shaped[np.ndarray, "*shape channels"], axis: int, zeros: Sequence[Float[np.ndarray, " channels"]]
) -> Float[np.ndarray, " k"]:
    """The mean over lines along an axis of their centroids, for each of several values that count as zero, from one
    pass: they differ by the DC bin alone.

    Args:
        samples, axis: as for `spectral_centroid`.
        zeros: each channel's; the first one's numerical errors are the least.
    """
    import scipy.fft

    lines = np.moveaxis(samples, axis, -1)  # [*others, channels, n]
    n = lines.shape[-1]
    length = min(n, LONGEST_TRANSFORM)
    frequencies = 2.0 * scipy.fft.rfftfreq(length)
    shifts = [(zeros[0] - zero) * length for zero in zeros]
    total, count = np.zeros(len(zeros)), np.zeros(len(zeros), np.int64)
    for block in _blocks(_chosen(lines)):
        weighted, magnitude, peak = np.zeros(block.shape[:-1]), np.zeros((len(zeros), *block.shape[:-1])), 0.0
        # A shorter rest would count with other frequencies; the pieces before it speak for it.
        starts = _starts(n, length, block.size)
        for start in starts:
            piece = in_bands(block[..., start : start + length])
            peak = max(peak, abs(float(piece.max())), abs(float(piece.min())))
            centred = np.subtract(piece, zeros[0][:, None]).astype(np.float32, order="C")
            transform = np.asarray(scipy.fft.rfft(centred, workers=-1))
            spectrum = np.abs(transform)
            weighted += spectrum @ frequencies
            magnitude += spectrum[..., 1:].sum(axis=-1, dtype=np.float64)
            for number, shift in enumerate(shifts):
                magnitude[number] += np.abs(transform[..., 0].real.astype(np.float64) + shift)
            forget_pages(lines)
        # What rounding leaves of a line that equals the mean is not a spectrum.
        audible = magnitude > 1e-6 * length * len(starts) * max(peak, 1e-300)
        for number, heard in enumerate(audible):
            total[number] += float((weighted[heard] / magnitude[number][heard]).sum())
            count[number] += int(heard.sum())
    return np.divide(total, count, out=np.zeros(len(zeros)), where=count > 0)


def _chosen(lines: Shaped[np.ndarray, "*others channels n"]) -> Shaped[np.ndarray, "*fewer channels n"]:
    """Evenly spaced lines, where all of them have more than MOST_SAMPLES."""
    stride = -(-lines.size // MOST_SAMPLES)
    for axis, number in enumerate(lines.shape[:-2]):
        step = min(stride, number)
        lines = lines[(slice(None),) * axis + (slice((number - 1) % step // 2, None, step),)]
        stride = -(-stride // step)
    return lines


def _starts(n: int, length: int, size: int) -> range:
    """Where the pieces of lines begin that are transformed, evenly spaced where all have more than MOST_SAMPLES.

    Args:
        n: samples of a line.
        length: of a piece.
        size: samples of all lines.
    """
    pieces = n // length
    step = min(-(-size // MOST_SAMPLES), pieces)
    return range((pieces - 1) % step // 2 * length, pieces * length, step * length)


def _blocks(lines: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of [*others, channels, n] with at most BLOCK_SAMPLES samples (at least one line of all channels). Of a
    mapped file, whose every page may have to be read for a few lines, as many lines as may be are read at once."""
    for part in _parts(lines, MAPPED_BUDGET // lines.itemsize):
        yield from _parts(in_bands(part) if part.shape[-1] <= LONGEST_TRANSFORM else part, BLOCK_SAMPLES)


def _parts(lines: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Pieces of [*others, channels, n] with at most so many samples (at least one line of all channels)."""
    if lines.size <= most or lines.ndim <= 2:
        yield lines
        return
    per_index = lines[0].size
    if per_index > most:
        for part in lines:
            yield from _parts(part, most)
        return
    step = max(1, most // per_index)
    for start in range(0, len(lines), step):
        yield lines[start : start + step]
