"""The best classical interpolation of the training samples, so that a field's held-out figure has a yardstick."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.fitting.sample_split import SampleSplit
from winner_ns.signals import GridSignal

MOST_SAMPLES = 2**20
"""Larger signals are judged by a central crop of about this many samples."""


def interpolation_error(signal: GridSignal, split: SampleSplit) -> Optional[Tuple[str, float]]:
    """Interpolates the withheld samples from the training samples.

    Regular gaps ("every-second"): cubic spline along every axis (bicubic, tricubic). Random gaps: a cubic spline
    through the irregular samples in 1D, else thin-plate splines through the 24 nearest samples, which were measured
    1 dB ahead of Clough-Tocher triangles on photographs.

    Returns:
        The method's name and its mean squared error at the withheld samples (values in [-1, 1]); None where nothing
        is withheld.
    """
    if split.heldout_size == 0:
        return None
    crop = _central_crop(signal.shape)
    values = (signal.samples[crop].astype(np.float64) - signal.value_offset) / signal.value_scale
    heldout = split.is_heldout()[crop]
    regular = split.holdout == "every-second"
    name, estimate = _from_every_second(values) if regular else _from_scattered(values, heldout)
    error = estimate[heldout] - values[heldout]
    return name, float(np.mean(error**2))


def judged_samples(signal: GridSignal, split: SampleSplit) -> Int[np.ndarray, " n"]:
    """Flat indices of the withheld samples that fields and interpolation are judged by: all; of signals of more than
    MOST_SAMPLES those in a central crop."""
    crop = _central_crop(signal.shape)
    inside = np.argwhere(split.is_heldout()[crop]) + [part.start for part in crop]
    return np.asarray(np.ravel_multi_index(tuple(inside.T), signal.shape))


def _central_crop(shape: Tuple[int, ...]) -> Tuple[slice, ...]:
    """Even starts, so that every second sample stays every second one."""
    size = int(np.prod(shape, dtype=np.int64))
    scale = min(1.0, (MOST_SAMPLES / size) ** (1 / len(shape)))
    lengths = [min(n, max(4, round(n * scale))) for n in shape]
    return tuple(slice((n - m) // 4 * 2, (n - m) // 4 * 2 + m) for n, m in zip(shape, lengths))


def _from_every_second(values: Float[np.ndarray, "*shape c"]) -> Tuple[str, np.ndarray]:
    from scipy.interpolate import make_interp_spline

    estimate = values[(slice(None, None, 2),) * (values.ndim - 1)]
    for axis in range(values.ndim - 1):
        known = np.arange(0, values.shape[axis], 2)
        degree = min(3, len(known) - 1)
        estimate = make_interp_spline(known, estimate, k=degree, axis=axis)(np.arange(values.shape[axis]))
    return {1: "cubic spline", 2: "bicubic"}.get(values.ndim - 1, "tricubic"), estimate


def _from_scattered(values: Float[np.ndarray, "*shape c"], heldout: np.ndarray) -> Tuple[str, np.ndarray]:
    from scipy.interpolate import RBFInterpolator, make_interp_spline

    estimate = values.copy()
    known, wanted = np.argwhere(~heldout), np.argwhere(heldout)
    if heldout.ndim == 1:
        spline = make_interp_spline(known[:, 0], values[~heldout], k=min(3, len(known) - 1))
        estimate[heldout] = spline(wanted[:, 0])
        return "cubic spline", estimate
    neighbors = min(24, len(known))
    spline = RBFInterpolator(known, values[~heldout], neighbors=neighbors, kernel="thin_plate_spline", degree=1)
    estimate[heldout] = spline(wanted)
    return "thin-plate spline", estimate
