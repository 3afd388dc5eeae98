"""Normals that come with points: whether they point outward, and which side is out where they do not say so.

Estimated normals point to either side at random, parts of scans to the wrong one, and files have zeros for those that
are missing. Close behind a point, against its normal, there is the inside: the winding number there tells how many
normals are sound, and neighbours that are parallel point to the same side. Where that is not so, their directions are
kept, and their sides are told anew, by the flood fill of points without normals, or where nothing is shut off, along
the tree of the most parallel neighbours (Hoppe et al. 1992). What leaves at most half as many points without an inside
behind them is taken, if these are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float

from winner_ns.signals.mesh_repair import connected_patches
from winner_ns.signals.surfels import surfel_areas, surfel_windings
from winner_ns.signals.unsigned_points import plane_normals, spacing_of, turned_outward

SOUND = 0.998
"""Least share of points with an inside behind them that asks for nothing more."""
AGREEING = 0.9995
"""Least share of parallel neighbours on the same side that asks for nothing more."""
DOUBTFUL = 0.9
"""Share of points with an inside behind them below which the normals are doubtful."""
PARALLEL = 0.7
"""Least median cosine between normals and the planes through their points' neighbours."""

# To behind a point, in distances to its fourth neighbour: thin parts end soon, but very close there is the point alone.
_STEPS = (0.25, 0.5)
_NEIGHBOURS = 8
_MAJORITY = 0.6
_ASKED = 4096


@dataclass
class CheckedNormals:
    normals: Float[np.ndarray, "p 3"]
    """Unit normals, as given or turned around."""
    turned: int
    """How many point to the other side than they did, after all of them were turned together if most pointed inward."""
    all_turned: bool
    """Whether nothing else was wrong than that all of them pointed inward."""
    sound: float
    """Share of the points that have an inside behind them."""


def checked_normals(
    points: Float[np.ndarray, "p 3"], given: Float[np.ndarray, "p 3"], known: Bool[np.ndarray, " p"]
) -> Optional[CheckedNormals]:
    """Normals that point outward, as far as that can be told; None where those given have nothing to do with the
    points' surface.

    Args:
        points: in the unit cube, all different.
        given: unit normals.
        known: where they are; elsewhere they are estimated.
    """
    from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

    tree = cKDTree(points)
    asked = np.random.default_rng(0).permutation(np.flatnonzero(known))[:_ASKED]
    planes = plane_normals(tree, points[asked])
    if np.median(np.abs(np.einsum("pi,pi->p", planes, given[asked]))) < PARALLEL:
        return None
    spacing = spacing_of(tree)
    normals = given.copy()
    if not known.all():
        normals[~known] = plane_normals(tree, points[~known])
        windings = surfel_windings(points[known], given[known], spacing[known])
        normals[~known] *= _inward_side(windings, points[~known], normals[~known], spacing[~known])[:, None]
    inward = _volume(points, normals, spacing) < 0
    if inward:
        normals = -normals
    best, sound = normals, _sound_share(points, normals, spacing)
    if sound < SOUND or _agreement(tree, normals) < AGREEING:
        filled = turned_outward(tree, normals, spacing)
        for other in [_along_a_tree(tree, normals, spacing)] if filled is None else [filled]:
            share = _sound_share(points, other, spacing)
            if share > DOUBTFUL and 1 - share <= (1 - sound) / 2:
                best, sound = other, share
    if sound < DOUBTFUL:
        # Directions that are off by some angle, as by one component's sign, still are half right here and there.
        estimated = turned_outward(tree, plane_normals(tree, points), spacing)
        share = 0.0 if estimated is None else _sound_share(points, estimated, spacing)
        if share > DOUBTFUL and 1 - share <= (1 - sound) / 2:
            return None
    turned = int((np.einsum("pi,pi->p", best, normals) < 0)[known].sum())
    return CheckedNormals(best, turned, inward and not turned, sound)


def _inward_side(windings, points: np.ndarray, normals: np.ndarray, spacing: np.ndarray) -> Float[np.ndarray, " n"]:
    """-1 where the inside is ahead of a normal, else 1."""
    step = spacing[:, None] * normals
    return np.where(windings.winding_number(points - step) < windings.winding_number(points + step), -1.0, 1.0)


def _volume(points: np.ndarray, normals: np.ndarray, spacing: np.ndarray) -> float:
    return float(np.einsum("p,pi,pi->", surfel_areas(spacing), points, normals))


def _sound_share(
    points: Float[np.ndarray, "p 3"], normals: Float[np.ndarray, "p 3"], spacing: Float[np.ndarray, " p"]
) -> float:
    windings = surfel_windings(points, normals, spacing)
    behind = [points - step * spacing[:, None] * normals for step in _STEPS]
    return float(np.mean([windings.above(at, 0.5).mean() for at in behind]))


def _agreement(tree, normals: Float[np.ndarray, "p 3"]) -> float:
    """Share of the pairs of about parallel neighbours whose normals point to the same side."""
    one, other = _neighbour_pairs(tree)
    cosine = np.einsum("pi,pi->p", normals[one], normals[other])
    parallel = np.abs(cosine) > PARALLEL
    return float((cosine[parallel] > 0).mean()) if parallel.any() else 1.0


def _neighbour_pairs(tree) -> Tuple[np.ndarray, np.ndarray]:
    neighbours = tree.query(tree.data, k=min(_NEIGHBOURS + 1, tree.n), workers=-1)[1][:, 1:]
    return np.repeat(np.arange(tree.n), neighbours.shape[1]), neighbours.ravel()


def _along_a_tree(tree, normals: Float[np.ndarray, "p 3"], spacing: Float[np.ndarray, " p"]) -> np.ndarray:
    """Normals of the same side all along the most parallel neighbours; each connected patch's is that of most of its
    normals or, where these do not say, the one that encloses a volume."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    count = tree.n
    one, other = _neighbour_pairs(tree)
    away = 1.0 - np.abs(np.einsum("pi,pi->p", normals[one], normals[other]))
    # Weights of 0 would be no edges.
    graph = coo_matrix((away + 1e-3, (one, other)), shape=(count, count)).tocsr()
    edges = minimum_spanning_tree(graph).tocoo()
    pairs = np.stack([edges.row, edges.col], axis=1).astype(np.int64)
    alike = np.einsum("pi,pi->p", normals[pairs[:, 0]], normals[pairs[:, 1]]) > 0
    patch, turned = connected_patches(count, pairs, alike)
    share = np.bincount(patch, weights=turned) / np.bincount(patch)
    result = np.where(turned[:, None], -normals, normals)
    middle = np.stack([np.bincount(patch, tree.data[:, i]) for i in range(3)], axis=1) / np.bincount(patch)[:, None]
    outward = surfel_areas(spacing) * np.einsum("pi,pi->p", tree.data - middle[patch], result)
    inward = np.bincount(patch, outward) < 0
    flipped = np.where(np.abs(share - 0.5) < _MAJORITY - 0.5, inward, share > 0.5)
    return np.where(flipped[patch][:, None], -result, result)
