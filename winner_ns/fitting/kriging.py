"""Ordinary kriging: the best linear estimate of what lies between samples, from how alike samples are at each distance.

The signal counts as a stationary random function with an unknown local mean, whose autocovariance is measured on the
samples themselves. An estimate is a weighted sum of the nearest samples, with the weights that make the expected
squared error least among those whose sum is 1 (Cressie, Statistics for Spatial Data, 1993, section 3.2; Matheron 1963).

Positions are whole numbers of a grid's steps. Nothing here knows what a signal is: who calls reads the samples that an
estimate is made from, so that memory is bounded by how many estimates are asked for at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float, Int

from winner_ns.fitting.sample_split import TrainingSamples

AT_ONCE = 512
"""Systems that are solved at a time; so many of some dozen samples stay in the processor's cache."""
ESTIMATES_AT_ONCE = 2**12
CANDIDATES_AT_ONCE = 2**20
"""Positions that are looked at at a time in the search for the nearest samples."""

Weighting = Callable[[Int[np.ndarray, "m k d"], Int[np.ndarray, "m d"]], Float[np.ndarray, "m k"]]
"""From the indices of samples in a box, and the place that is asked for in half steps from the box's first sample, to
the samples' weights."""


@dataclass(frozen=True)
class KrigingSettings:
    """What was measured to serve best."""

    neighbors: int
    """Samples that an estimate is made from; more of them cost more than they brought."""
    nugget: float
    """As for `kriging_weights`."""
    rounds: int
    """How often the covariance is measured, each time on samples whose gaps are filled by the last one's estimates."""


def settings_in_gaps(dimensions: int) -> KrigingSettings:
    """For gaps at random places of a grid with so many axes."""
    if dimensions == 1:
        # Tonal sounds gain up to 30 dB from the second round to the fourth, photographs nothing after the second.
        return KrigingSettings(48, 1e-7, 4)
    return KrigingSettings(32 if dimensions == 2 else 64, 1e-3, 2)


def settings_halfway(dimensions: int) -> KrigingSettings:
    """For the positions halfway between the samples of a lattice with so many axes."""
    if dimensions == 1:
        return KrigingSettings(48, 1e-7, 2)
    # What the samples of a lattice alias is in its covariance, too, which is therefore trusted less.
    return KrigingSettings(16, 1e-2, 2)


class Autocovariance:
    """How alike the values of a signal are, by the lag between their positions.

    The biased estimate, the sum over all pairs at a lag over the number of all samples: it is that of a signal which is
    zero around the samples, and therefore positive definite at all lags, beyond the samples' extent too (Cressie 1993,
    section 2.4). It is measured for every direction by itself, so that it is anisotropic where the signal is.

    Args:
        filled: values without gaps, channels last; the mean over the channels is what counts.
    """

    def __init__(self, filled: Float[np.ndarray, "*shape c"]) -> None:
        self.shape = filled.shape[:-1]
        # With as many zeros again, circular correlation is the linear one.
        padded = [scipy.fft.next_fast_len(2 * n, real=True) for n in self.shape]
        transforms = (
            np.asarray(scipy.fft.rfftn(channel - channel.mean(), padded)) for channel in np.moveaxis(filled, -1, 0)
        )
        power = sum((np.abs(transform) ** 2 for transform in transforms), np.zeros(()))
        self._at_lags = np.asarray(scipy.fft.irfftn(power, padded))
        variance = float(self._at_lags.flat[0])
        if variance > 0.0:
            self._at_lags /= variance
        else:
            # Of a constant nothing is known: noise, whose estimate is the mean of the nearest samples.
            self._at_lags[...] = 0.0
            self._at_lags.flat[0] = 1.0

    def table(self, reach: Int[np.ndarray, " d"]) -> Float[np.ndarray, "*lags"]:
        """Values at the lags from -reach to reach along each axis, 1 at lag 0, which is in the middle."""
        lags = [np.arange(-r, r + 1) for r in reach]
        inside = [np.where(np.abs(lag) < n, lag, 0) for lag, n in zip(lags, self.shape)]
        table = self._at_lags[np.ix_(*inside)]
        for axis, (lag, n) in enumerate(zip(lags, self.shape)):
            np.moveaxis(table, axis, 0)[np.abs(lag) >= n] = 0.0
        return table

    def among(self, positions: Int[np.ndarray, "m k d"]) -> Float[np.ndarray, "m k k"]:
        """Values between all positions of a set, for each of several sets."""
        reach = (positions.max(axis=1) - positions.min(axis=1)).max(axis=0)
        table = self.table(reach)
        # A lag's place in the flat table is a sum over the axes, so that a difference of places stands for the lag.
        places = positions @ np.array([math.prod(table.shape[axis + 1 :]) for axis in range(table.ndim)])
        return table.reshape(-1)[places[:, :, None] - places[:, None, :] + table.size // 2]


def kriging_weights(
    covariance: Autocovariance, offsets: Int[np.ndarray, "m k d"], nugget: float
) -> Float[np.ndarray, "m k"]:
    """Weights of samples in the estimates at m positions; those of each estimate have the sum 1.

    Solves C w + mu = c, sum w = 1 with the covariances C among the samples and c to the position, by C x = c and
    C y = 1: w = x + y (1 - sum x) / sum y.

    Args:
        covariance: of the signal.
        offsets: of the k samples to each position, in steps.
        nugget: variance, over that of the signal, of what the covariance does not explain, from above 0 on: larger
            ones trust single samples less.
    """
    samples = offsets.shape[1]
    weights = np.empty(offsets.shape[:2])
    for start in range(0, len(offsets), AT_ONCE):
        part = offsets[start : start + AT_ONCE]
        # The position itself comes last.
        known = covariance.among(np.concatenate([part, np.zeros_like(part[:, :1])], axis=1))[:, :samples]
        right = np.stack([known[:, :, samples], np.ones(part.shape[:2])], axis=-1)
        solved = np.linalg.solve(known[:, :, :samples] + nugget * np.eye(samples), right)
        x, y = solved[..., 0], solved[..., 1]
        weights[start : start + AT_ONCE] = x + y * ((1.0 - x.sum(axis=1)) / y.sum(axis=1))[:, None]
    return weights


def nearest_known(
    known: "Bool[np.ndarray, '*shape'] | TrainingSamples", positions: Int[np.ndarray, "m d"], count: int
) -> Int[np.ndarray, "m k d"]:
    """Offsets to the nearest known samples, nearest first; of equally near ones the first in raster order.

    Args:
        known: which samples of a grid are known.
        positions: on the grid.
        count: how many; all where there are fewer.
    """
    shape = np.array(known.shape)
    count = min(count, int(known.sum()))
    found = np.empty((len(positions), count, known.ndim), dtype=np.int64)
    open_ones = np.arange(len(positions))
    # A ball of twice as many grid points as are needed on average suffices away from borders.
    radius = max(1.5, (2 * count * known.size / known.sum()) ** (1 / known.ndim) / 2)
    while len(open_ones):
        ball = _ball(radius, known.shape)
        at_once, still_open = max(1, CANDIDATES_AT_ONCE // len(ball)), []
        for start in range(0, len(open_ones), at_once):
            numbers = open_ones[start : start + at_once]
            candidates = positions[numbers][:, None] + ball
            inside = np.logical_and(candidates >= 0, candidates < shape).all(axis=-1)
            usable = inside & known[tuple(np.moveaxis(np.where(inside[..., None], candidates, 0), -1, 0))]
            rank = usable.cumsum(axis=1)
            enough = rank[:, -1] >= count
            chosen = np.nonzero((usable & (rank <= count))[enough])[1]
            found[numbers[enough]] = ball[chosen].reshape(-1, count, known.ndim)
            still_open.append(numbers[~enough])
        open_ones, radius = np.concatenate(still_open), radius * 1.5
    return found


def _ball(radius: float, shape: Tuple[int, ...]) -> Int[np.ndarray, "k d"]:
    """Offsets within a radius, nearest first; none that lead out of a grid of this shape from everywhere."""
    reach = [min(math.floor(radius), n - 1) for n in shape]
    offsets = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1)
    offsets = offsets.reshape(-1, len(shape))
    squared = (offsets**2).sum(axis=-1)
    order = np.argsort(squared, kind="stable")
    return offsets[order[squared[order] <= radius**2]]


class GapKriging:
    """Estimates in the gaps of a grid.

    Args:
        known: which of its samples are known.
        covariance: of the signal.
        settings: as measured to serve best, or others.
    """

    def __init__(
        self,
        known: "Bool[np.ndarray, '*shape'] | TrainingSamples",
        covariance: Autocovariance,
        settings: KrigingSettings,
    ) -> None:
        self.known, self.covariance, self.settings = known, covariance, settings

    def at(self, positions: Int[np.ndarray, "n d"]) -> Tuple[Int[np.ndarray, "n k d"], Float[np.ndarray, "n k"]]:
        """Indices of the samples that each estimate is made from, and their weights."""
        offsets = nearest_known(self.known, positions, self.settings.neighbors)
        return positions[:, None] + offsets, kriging_weights(self.covariance, offsets, self.settings.nugget)


class LatticeStencils:
    """Estimates halfway between the samples of a full lattice.

    A position is given in half steps: twice the lattice's own indices are the samples themselves. How the nearest
    samples lie around it depends on few cases: even or odd along each axis, and how near a border is. Samples are
    looked for in a box around the position, which is shifted inward at borders; there is one set of weights for each
    place within the box, whatever the lattice's size.

    Args:
        shape: of the lattice.
        side: of the box, in samples; shorter along axes that have fewer.
        count: how many of the box's samples an estimate is made from, the nearest ones; at most all.
        weighting: gives their weights.
    """

    def __init__(self, shape: Tuple[int, ...], side: int, count: int, weighting: Weighting) -> None:
        self.shape = np.array(shape)
        self.box = np.minimum(side, self.shape)
        # From the box's first sample to half a step beyond its last one, where a lattice's last step is half a one.
        self.places = tuple(2 * self.box)
        samples, places = np.array(list(np.ndindex(*self.box))), np.array(list(np.ndindex(*self.places)))
        squared = ((2 * samples[None] - places[:, None]) ** 2).sum(axis=-1)
        self.samples = samples[np.argsort(squared, axis=1, kind="stable")[:, :count]]
        self.weights = weighting(self.samples, places)

    def at(self, positions: Int[np.ndarray, "n d"]) -> Tuple[Int[np.ndarray, "n k d"], Float[np.ndarray, "n k"]]:
        """Indices on the lattice of the samples that each estimate is made from, and their weights."""
        start = np.clip((positions - self.box + 1) // 2, 0, self.shape - self.box)
        place = np.ravel_multi_index(tuple((positions - 2 * start).T), self.places)
        return start[:, None] + self.samples[place], self.weights[place]


def box_side(dimensions: int) -> int:
    """Samples along the sides of a box that holds the nearest ones, at the lattice's corners, too."""
    return {1: 48, 2: 7, 3: 6}.get(dimensions, 2)


def kriging_stencils(shape: Tuple[int, ...], covariance: Autocovariance, settings: KrigingSettings) -> LatticeStencils:
    """Stencils of ordinary kriging.

    Args:
        shape: of the lattice.
        covariance: at lags in half steps of the lattice.
        settings: as measured to serve best, or others.
    """

    def weighting(samples: Int[np.ndarray, "m k d"], places: Int[np.ndarray, "m d"]) -> Float[np.ndarray, "m k"]:
        return kriging_weights(covariance, 2 * samples - places[:, None], settings.nugget)

    return LatticeStencils(shape, box_side(len(shape)), settings.neighbors, weighting)


def measured_with_gaps(
    start: Float[np.ndarray, "*shape c"], known: Bool[np.ndarray, "*shape"], settings: KrigingSettings
) -> Autocovariance:
    """The autocovariance of a signal with gaps, in rounds.

    Args:
        start: values, with the gaps filled in some way; those of the last round make no difference.
        known: where there is no gap.
        settings: with the number of rounds.
    """
    covariance = Autocovariance(start)
    if not known.any():
        return covariance
    filled, gaps = start.copy(), np.argwhere(~known)
    for _ in range(settings.rounds - 1):
        filled[~known] = estimates(GapKriging(known, covariance, settings), filled, gaps)
        covariance = Autocovariance(filled)
    return covariance


def measured_halfway(start: Float[np.ndarray, "*shape c"], settings: KrigingSettings) -> Autocovariance:
    """The autocovariance, at lags in half steps, of a signal that is known on a lattice, in rounds.

    Args:
        start: values at each half step, those between the samples (at an odd index) filled in some way.
        settings: with the number of rounds.
    """
    dimensions = start.ndim - 1
    lattice = start[(slice(None, None, 2),) * dimensions]
    halfway = np.argwhere(np.ones(start.shape[:-1], dtype=bool))
    halfway = halfway[(halfway % 2).any(axis=1)]
    filled, covariance = start.copy(), Autocovariance(start)
    for _ in range(settings.rounds - 1):
        stencils = kriging_stencils(lattice.shape[:-1], covariance, settings)
        filled[tuple(halfway.T)] = estimates(stencils, lattice, halfway)
        covariance = Autocovariance(filled)
    return covariance


def estimates(
    sources: "GapKriging | LatticeStencils", values: Float[np.ndarray, "*shape c"], positions: Int[np.ndarray, "n d"]
) -> Float[np.ndarray, "n c"]:
    """Estimates from values that are at hand as an array."""
    return estimates_of_read(sources, lambda samples: values[tuple(np.moveaxis(samples, -1, 0))], positions)


def estimates_of_read(
    sources: "GapKriging | LatticeStencils",
    read: Callable[[Int[np.ndarray, "m k d"]], Float[np.ndarray, "m k c"]],
    positions: Int[np.ndarray, "n d"],
) -> Float[np.ndarray, "n c"]:
    """Estimates from values that are read where they are needed, of few positions at a time.

    Args:
        sources: say which samples an estimate is made from, and by which weights.
        read: (indices of samples) -> their values.
        positions: that are asked for.
    """
    found = []
    for start in range(0, max(len(positions), 1), ESTIMATES_AT_ONCE):
        samples, weights = sources.at(positions[start : start + ESTIMATES_AT_ONCE])
        found.append(np.einsum("nk,nkc->nc", weights, read(samples)))
    return np.concatenate(found)
