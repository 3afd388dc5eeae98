"""What signed distances at given points say of the distance at any other point.

A signed distance changes by no more than the way that a point moves: it is 1-Lipschitz. So a sample d_i at x_i bounds
it everywhere, from d_i - |x - x_i| to d_i + |x - x_i|, and together samples leave what is between the largest lower
and the smallest upper bound. These two are 1-Lipschitz themselves and go through all samples: they are the smallest and
the largest such extension (McShane, "Extension of range of functions", Bulletin of the AMS 40, 1934; Whitney, "Analytic
extensions of differentiable functions defined in closed sets", Transactions of the AMS 36, 1934). Their mean is the
guess whose error is smallest in the worst case: half of what is between them.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Callable, Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int

from winner_ns.signals.curve_order import along_a_curve
from winner_ns.signals.scattered import scattered_interpolant, smoothed_samples

NEIGHBOURS = 16
"""How many samples bound a distance, the nearest ones: more bound it more narrowly, and cost more."""
CLOSE = 0.1
"""Distance to the surface, and error of it, below which samples are interpolated; the squashed distance levels off
there."""
LEAST_INTERPOLATED = 32
"""Samples that are interpolated, at least."""
LEAST_SMOOTHED = 1000
"""Samples that can tell that they have errors, at least."""
LEAST_CUT = 8
"""Samples that share the outermost distance where distances were cut off there, at least."""
CUT_STANDS_OUT = 4
"""How many times as often as the second outermost distance it comes then."""
STEEP = 1.5
"""Slope of a distance, which is 1 at most, from which on errors of single samples do not explain it."""

# Pairs of neighbours that tell of errors, and the part of them that is looked at: one in so many, the closest.
_PAIRS, _CLOSEST = 20_000, 10

# Queries that are answered in one go: temporary arrays are NEIGHBOURS times their size.
_BATCH = 2**16

Cuts = Tuple[Optional[float], Optional[float]]
"""Distances at which others were cut off, below and above: samples of the first mean "at most this", of the second "at
least this". None: there was no such cut."""


class DistanceSamples:
    """Points with signed distances, and what follows from them elsewhere.

    Args:
        points: where distances are known, within the unit cube and beyond it.
        distances: there, negative inside, in units of the unit cube.
        cuts: where they were cut off.
    """

    def __init__(
        self, points: Float[np.ndarray, "p 3"], distances: Float[np.ndarray, " p"], cuts: Cuts = (None, None)
    ) -> None:
        self.points, self._given = points, distances
        below, above = cuts
        none = np.zeros(len(points), bool)
        self.at_most: Bool[np.ndarray, " p"] = none if below is None else distances <= below
        self.at_least: Bool[np.ndarray, " p"] = none if above is None else distances >= above

    @property
    def exact(self) -> Bool[np.ndarray, " p"]:
        """Which distances are no mere bounds."""
        return ~(self.at_most | self.at_least)

    @cached_property
    def error(self) -> float:
        """The standard deviation of the distances' errors (`error_deviation`)."""
        return error_deviation(self.points[self.exact], self._given[self.exact])

    @cached_property
    def distances(self) -> Float[np.ndarray, " p"]:
        """The distances at `points`: as given; where they have errors, those close to the surface smoothed
        (`smoothed_samples`)."""
        exact = np.flatnonzero(self.exact)
        close = np.flatnonzero(np.abs(self._given[exact]) < CLOSE)
        if not self.error or not len(close):
            return self._given
        distances = self._given.astype(np.float64)
        distances[exact[close]] = smoothed_samples(self.points[exact], distances[exact], close)
        return distances

    def bounds(self, queries: Float[np.ndarray, "n 3"]) -> Tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """The least and the largest distance (float64, units of the unit cube) that the nearest samples allow.

        The lower is max(d_i - |x - x_i|) over the `NEIGHBOURS` nearest samples of those that do not say "at most", the
        upper min(d_i + |x - x_i|) over the nearest of those that do not say "at least"; infinite where there are none.
        Samples with errors contradict each other: then the lower bound may be above the upper one.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float64)
        lower, upper = np.empty(len(queries)), np.empty(len(queries))
        order = along_a_curve(queries)
        for start in range(0, len(queries), _BATCH):
            chosen = order[start : start + _BATCH]
            distances, away = self._below.nearest(queries[chosen])
            lower[chosen] = (distances - away).max(axis=1, initial=-np.inf)
            if self._above is not self._below:
                distances, away = self._above.nearest(queries[chosen])
            upper[chosen] = (distances + away).min(axis=1, initial=np.inf)
        return lower, upper

    def estimate(self, queries: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The distance (float64, units of the unit cube), within the bounds, and that of the samples where they are.

        The mean of both bounds; where this and their distance from it are below `CLOSE`, which is too coarse beside the
        surface, the samples interpolated by moving least squares (`scattered_interpolant`), or the bound that these are
        beyond. Where bounds contradict each other, their mean is that of the bounds after all samples were given the
        smallest error that settles it.
        """
        lower, upper = self.bounds(queries)
        estimate = (lower + upper) / 2
        # Beyond where distances were cut off, interpolation would be extrapolation.
        close_by = min(CLOSE, np.abs(self.distances[self.exact]).max(initial=0.0))
        close = (np.abs(estimate) < close_by) & (upper - lower < 2 * close_by)
        if self._interpolated is not None and close.any():
            smooth = self._interpolated(np.asarray(queries, np.float64)[close])
            estimate[close] = smooth.clip(np.minimum(lower, upper)[close], np.maximum(lower, upper)[close])
        return estimate

    @cached_property
    def values(self) -> Float[np.ndarray, " p"]:
        """`distances` (float64), and the estimate where they were cut off."""
        values = self.distances.astype(np.float64)
        cut = ~self.exact
        values[cut] = self.estimate(self.points[cut])
        return values

    @cached_property
    def in_cube(self) -> Int[np.ndarray, " n"]:
        """Numbers of the samples within the unit cube."""
        return np.flatnonzero((np.abs(self.points) <= 1.0).all(axis=1))

    def zero_crossings(self, within: float) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Surface points and outward unit normals (float64) that the samples imply: the feet of those at most `within`
        (units of the unit cube) away from the surface, by the gradient that their neighbours' distances show."""
        exact = self.exact
        known = _Bounding(self.points, self.distances, exact)
        close = np.flatnonzero(exact & (np.abs(self.distances) <= within))
        parts = [
            known.feet(self.points[part], self.distances[part])
            for part in np.split(close, range(_BATCH, len(close), _BATCH))
        ]
        points, normals = zip(*parts, strict=True)
        return np.concatenate(points), np.concatenate(normals)

    @cached_property
    def _interpolated(self) -> Optional[Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]]]:
        """What the exact samples have between them; None where they are too few to tell."""
        points = self.points[self.exact]
        if len(points) < LEAST_INTERPOLATED or np.linalg.matrix_rank(points - points.mean(axis=0)) < 3:
            return None
        return scattered_interpolant(points, self.distances[self.exact])

    @cached_property
    def _below(self) -> _Bounding:
        """The samples that bound distances from below."""
        return _Bounding(self.points, self.distances, ~self.at_most)

    @cached_property
    def _above(self) -> _Bounding:
        """The samples that bound distances from above."""
        if not self.at_most.any() and not self.at_least.any():
            return self._below
        return _Bounding(self.points, self.distances, ~self.at_least)


class _Bounding:
    """Some of the samples, and a search tree of them."""

    def __init__(self, points: np.ndarray, distances: np.ndarray, chosen: np.ndarray) -> None:
        from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

        self._points, self._distances = points[chosen], distances[chosen]
        self._tree: Any = cKDTree(self._points) if chosen.any() else None

    def nearest(self, queries: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The nearest samples' distances, and how far the samples are away, [n, k] both."""
        if self._tree is None:
            return np.empty((len(queries), 0)), np.empty((len(queries), 0))
        numbers = np.arange(1, min(NEIGHBOURS, self._tree.n) + 1)
        away, index = self._tree.query(queries, k=numbers, workers=-1)
        return self._distances[index], away

    def feet(self, points: np.ndarray, distances: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Where some of them touch the surface, and the normals there; of those whose neighbours tell, [n, 3] both."""
        if not len(points):
            return np.empty((0, 3)), np.empty((0, 3))
        neighbours = self._tree.query(points, k=min(13, self._tree.n), workers=-1)[1]
        offsets = self._points[neighbours] - points[:, None]
        changes = self._distances[neighbours] - distances[:, None]
        # Least squares per point; the ridge decides where the neighbours lie in a plane.
        moments = np.einsum("nki,nkj->nij", offsets, offsets)
        moments += (1e-9 * np.trace(moments, axis1=1, axis2=2) + 1e-30)[:, None, None] * np.eye(3)
        gradient = np.linalg.solve(moments, np.einsum("nki,nk->ni", offsets, changes)[..., None])[..., 0]
        length = np.linalg.norm(gradient, axis=1, keepdims=True)
        # A distance's gradient has length 1: elsewhere the neighbours are too far apart to tell.
        sound = np.abs(length[:, 0] - 1.0) < 0.5
        normals = gradient[sound] / length[sound]
        return points[sound] - distances[sound, None] * normals, normals


def error_deviation(points: Float[np.ndarray, "p 3"], distances: Float[np.ndarray, " p"]) -> float:
    """The standard deviation of distances' errors, from the closest pairs of neighbouring samples; 0 where these do not
    prove that there are errors, as they cannot where errors are much smaller than the samples' spacing.

    Exact distances of points r apart differ by r at most, and by r²/3 in the mean square over all directions; errors
    add twice their variance.
    """
    from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

    if len(points) < LEAST_SMOOTHED:
        return 0.0
    some = np.random.default_rng(0).permutation(len(points))[:_PAIRS]
    away, neighbour = cKDTree(points).query(points[some], k=[2], workers=-1)
    way, change = away[:, 0], distances[neighbour[:, 0]] - distances[some]
    closest = np.argsort(way)[: len(way) // _CLOSEST]
    squared_way, squared_change = np.square(way[closest]).mean(), np.square(change[closest]).mean()
    return math.sqrt((squared_change - squared_way / 3) / 2) if squared_change > squared_way else 0.0


def found_cuts(distances: Float[np.ndarray, " p"]) -> Cuts:
    """Where distances were cut off, told by many of them being equal to the outermost one.

    Rounded distances are not taken for that: then the second outermost one comes about as often.
    """
    values, counts = np.unique(distances, return_counts=True)

    def is_cut(outermost: int, second: int) -> bool:
        # Of two values, as of signs, neither says how far away the surface is.
        stands_out = len(values) == 2 or counts[outermost] >= CUT_STANDS_OUT * counts[second]
        return bool(counts[outermost] >= LEAST_CUT and stands_out)

    below, above = float(values[0]), float(values[-1])
    if len(values) < 2:
        return None, None
    return below if below < 0 and is_cut(0, 1) else None, above if above > 0 and is_cut(-1, -2) else None


def outermost(points: Float[np.ndarray, "p 3"], directions: int = 200) -> Int[np.ndarray, " n"]:
    """Numbers of the points that lie farthest out, each in some of so many directions all around."""
    number = np.arange(directions) + 0.5
    z, angle = 1 - 2 * number / directions, np.pi * (1 + 5**0.5) * number
    ways = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z])
    return np.unique([int(np.argmax(points @ way)) for way in ways.T])


def steepest_slope(points: Float[np.ndarray, "p 3"], distances: Float[np.ndarray, " p"]) -> float:
    """The largest change of distance per way, between some samples that are at least a tenth of the extent apart, where
    errors of distances say little."""
    some = np.random.default_rng(0).permutation(len(points))[:1000]
    way = np.linalg.norm(points[some, None] - points[some], axis=-1)
    change = np.abs(distances[some, None] - distances[some])
    apart = way > 0.1 * np.ptp(points, axis=0).max()
    return float((change[apart] / way[apart]).max(initial=0.0))
