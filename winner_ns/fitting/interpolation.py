"""Interpolation without a field, from the training samples alone: so that a field's held-out figure has a yardstick."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy.typing import DTypeLike

from winner_ns.fitting.kriging import (
    GapKriging,
    LatticeStencils,
    estimates,
    kriging_stencils,
    measured_halfway,
    measured_with_gaps,
    settings_halfway,
    settings_in_gaps,
)
from winner_ns.fitting.sample_split import SampleSplit, TrainingSamples, central_crop
from winner_ns.signals import GridSignal

MOST_SAMPLES = 2**20
"""Larger signals are judged by a central crop of about this many samples."""
MOST_MEASURED = 2**18
"""Samples that the covariance is measured on: a central crop of larger signals."""


def interpolation_error(signal: GridSignal, split: SampleSplit) -> Optional[Tuple[str, float]]:
    """Interpolates the withheld samples from the training samples, by splines and by kriging.

    Splines: for regular gaps ("every-second") cubic ones along every axis (bicubic, tricubic); for random gaps a cubic
    one through the irregular samples in 1D, else thin-plate splines through the 24 nearest samples, which were measured
    1 dB ahead of Clough-Tocher triangles on photographs. Kriging: `winner_ns.fitting.kriging`.

    Returns:
        The name of the method that is nearest to the withheld samples, and its mean squared error there (values in
        [-1, 1]); None where nothing is withheld.
    """
    if split.heldout_size == 0:
        return None
    crop = central_crop(signal.shape, MOST_SAMPLES)
    values, known = normalised(signal, crop), ~split.is_heldout(crop)
    wanted = np.argwhere(~known)
    truth = values[~known]
    if split.holdout == "every-second":
        lattice = values[(slice(None, None, 2),) * signal.dimensions]
        stencils = kriged_halfway(lattice, known.shape)
        found = {
            {1: "cubic spline", 2: "bicubic"}.get(signal.dimensions, "tricubic"): splined(lattice, known.shape)[~known],
            "kriging": estimates(stencils, lattice, wanted),
        }
    else:
        name = "cubic spline" if signal.dimensions == 1 else "thin-plate spline"
        kriging = kriged_in_gaps(values, known)
        found = {name: spline_at(values, known, wanted), "kriging": estimates(kriging, values, wanted)}
    errors = {name: float(np.mean((estimate - truth) ** 2)) for name, estimate in found.items()}
    return min(errors.items(), key=lambda each: each[1])


def judged_samples(signal: GridSignal, split: SampleSplit) -> Int[np.ndarray, " n"]:
    """Flat indices of the withheld samples that fields and interpolation are judged by: all; of signals of more than
    MOST_SAMPLES those in a central crop."""
    crop = central_crop(signal.shape, MOST_SAMPLES)
    inside = np.argwhere(split.is_heldout(crop)) + [part.start for part in crop]
    return np.asarray(np.ravel_multi_index(tuple(inside.T), signal.shape))


def normalised(signal: GridSignal, part: Tuple[slice, ...]) -> Float[np.ndarray, "*shape c"]:
    """Values in [-1, 1] of a part of a signal."""
    return (signal.samples[part].astype(np.float64) - signal.value_offset) / signal.value_scale


def kriged_in_gaps(
    samples: Shaped[np.ndarray, "*shape c"], known: "Bool[np.ndarray, '*shape'] | TrainingSamples"
) -> GapKriging:
    """Kriging in the gaps of an array, with the covariance of its own samples. What is in the gaps is not looked at."""
    part, settings = central_crop(known.shape, MOST_MEASURED), settings_in_gaps(known.ndim)
    known_here = known[np.ix_(*[np.arange(n)[each] for n, each in zip(known.shape, part, strict=True)])]
    start = gaps_filled(samples[part], ~known_here, np.float64)
    return GapKriging(known, measured_with_gaps(start, known_here, settings), settings)


def kriged_halfway(lattice: Shaped[np.ndarray, "*shape c"], shape: Tuple[int, ...]) -> LatticeStencils:
    """Kriging between the samples of an array, with the covariance of its own samples.

    Args:
        lattice: the samples.
        shape: of the grid whose every second sample they are.
    """
    # So many along with what is between them; at least those that were measured on where they are in gaps.
    part, settings = central_crop(shape, 4 * MOST_MEASURED), settings_halfway(len(shape))
    known = lattice[tuple(slice(each.start // 2, (each.stop + 1) // 2) for each in part)].astype(np.float64)
    start = splined(known, tuple(each.stop - each.start for each in part))
    return kriging_stencils(lattice.shape[:-1], measured_halfway(start, settings), settings)


def spline_stencils(shape: Tuple[int, ...]) -> LatticeStencils:
    """Cubic splines along every axis through the samples of a lattice, as stencils: the influence of a sample falls to
    0.27 of itself with each step, so that those in a box suffice.

    Args:
        shape: of the lattice.
    """
    side = {1: 32, 2: 12, 3: 6}.get(len(shape), 2)
    # Per axis, [places in half steps, samples]: the values that splines have which are 1 at one sample.
    axes = [splined(np.eye(min(side, n)), (2 * min(side, n),)) for n in shape]

    def weighting(samples: Int[np.ndarray, "m k d"], places: Int[np.ndarray, "m d"]) -> Float[np.ndarray, "m k"]:
        along = [weights[places[:, None, axis], samples[..., axis]] for axis, weights in enumerate(axes)]
        return np.prod(along, axis=0)

    return LatticeStencils(shape, side, side ** len(shape), weighting)


def gaps_filled(
    samples: Shaped[np.ndarray, "*shape c"], gaps: Bool[np.ndarray, "*shape"], dtype: DTypeLike = np.float32
) -> Float[np.ndarray, "*shape c"]:
    """A copy in which gaps are filled linearly along the last axis (in raster order)."""
    flat = samples.reshape(-1, samples.shape[-1]).astype(dtype)
    flat_gaps = gaps.reshape(-1)
    for start in range(0, len(flat), MOST_SAMPLES):
        part, gap = flat[start : start + MOST_SAMPLES], flat_gaps[start : start + MOST_SAMPLES]
        known = np.flatnonzero(~gap)
        for channel in range(flat.shape[1]):
            part[gap, channel] = np.interp(np.flatnonzero(gap), known, part[known, channel]) if len(known) else 0.0
    return flat.reshape(samples.shape)


def splined(lattice: Float[np.ndarray, "*shape c"], shape: Tuple[int, ...]) -> Float[np.ndarray, "*fine c"]:
    """All samples of the grid of which a lattice is every second sample, by cubic splines along every axis."""
    from scipy.interpolate import make_interp_spline

    estimate = lattice
    for axis, length in enumerate(shape):
        known = np.arange(0, length, 2)
        degree = min(3, len(known) - 1)
        estimate = make_interp_spline(known, estimate, k=degree, axis=axis)(np.arange(length))
    return estimate


def spline_at(
    values: Float[np.ndarray, "*shape c"], known: Bool[np.ndarray, "*shape"], wanted: Int[np.ndarray, "n d"]
) -> Float[np.ndarray, "n c"]:
    """A spline through irregular samples: cubic in 1D, else thin-plate splines through the 24 nearest ones. Of too few
    samples for that, their mean."""
    from scipy.interpolate import RBFInterpolator, make_interp_spline

    # Along an axis of one sample there is nothing to interpolate.
    axes = [axis for axis, n in enumerate(known.shape) if n > 1]
    samples, at = np.argwhere(known)[:, axes], wanted[:, axes]
    if len(axes) == 1:
        return make_interp_spline(samples[:, 0], values[known], k=min(3, len(samples) - 1))(at[:, 0])
    if len(samples) <= 2 * len(axes):
        return np.broadcast_to(values[known].mean(axis=0), (len(at), values.shape[-1]))
    neighbors = min(24, len(samples))
    return RBFInterpolator(samples, values[known], neighbors=neighbors, kernel="thin_plate_spline", degree=1)(at)
