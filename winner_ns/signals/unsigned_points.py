"""Points without normals: which side of them is inside.

Each point gets the normal of the plane through its neighbours (Hoppe et al. 1992). Discs around the points in these
planes are walls on a grid: what they shut off from the grid's border is inside, if they are thick enough to leave no
gaps and not so thick that nothing is left (a flood fill, in several thicknesses). A normal points to where outside
is nearer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from winner_ns.signals.surfels import surfel_windings

PLANE_NEIGHBOURS = 12
FINEST_GRID = 192
"""Cells along an axis, at most."""
SMOOTH = 0.1
"""Points that scatter by less than this share of their spacing are taken as they are."""
ROUGH = 0.3
"""With more than this, twice as many neighbours are averaged over."""

_REACH = 2.0  # Radius of a disc, in distances to the fourth neighbour: holes between random points are as large.
_BATCH = 2**15


@dataclass
class OrientedPoints:
    points: Float[np.ndarray, "p 3"]
    """As given, or moved onto a smooth surface where they scatter around one."""
    normals: Float[np.ndarray, "p 3"]
    """Unit normals that point outward."""
    scatter: float
    """Standard deviation of the given points around a smooth surface, in units of the unit cube."""
    moved: bool


def oriented_points(points: Float[np.ndarray, "p 3"]) -> Optional[OrientedPoints]:
    """Finds outward normals for points of the unit cube, all different; None where they enclose nothing.

    Points that scatter around a surface are moved onto it first: onto the quadric that fits their neighbours best
    (Cazals and Pouget 2005).
    """
    from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

    tree = cKDTree(points)
    typical = float(np.median(spacing_of(tree)))
    scatter = _scatter(tree)
    moved = scatter > SMOOTH * typical
    if moved:
        points, normals = _onto_quadrics(tree, 24 if scatter <= ROUGH * typical else 48)
        tree = cKDTree(points)
    else:
        normals = plane_normals(tree, points)
    turned = turned_outward(tree, normals, spacing_of(tree))
    return None if turned is None else OrientedPoints(points, turned, scatter, moved)


def turned_outward(
    tree, normals: Float[np.ndarray, "p 3"], spacing: Float[np.ndarray, " p"]
) -> Optional[Float[np.ndarray, "p 3"]]:
    """Normals of a tree's points, of either side, turned outward by the flood fill; None where the points enclose
    nothing.

    Args:
        tree: scipy's, of points in the unit cube.
        normals: of length 1.
        spacing: `spacing_of` the tree.
    """
    points = tree.data
    votes = _outward_votes(tree, normals, spacing, float(np.median(spacing)))
    if votes is None:
        return None
    normals = normals * np.where(votes < 0, -1.0, 1.0)[:, None]
    known = votes != 0
    if not known.all():
        # Where the grid cannot tell, inside is where the others' winding number is larger.
        windings = surfel_windings(points[known], normals[known], spacing[known])
        step = 1.5 * spacing[~known, None] * normals[~known]
        behind = windings.winding_number(points[~known] - step)
        normals[~known] *= np.where(behind < windings.winding_number(points[~known] + step), -1.0, 1.0)[:, None]
    return normals


def spacing_of(tree) -> Float[np.ndarray, " p"]:
    """Distance of each point to its fourth neighbour."""
    return tree.query(tree.data, k=[5], workers=-1)[0][:, 0]


def plane_normals(tree, at: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Normals, of either side, of the planes through the nearest of a tree's points."""
    normals = np.empty((len(at), 3))
    for start in range(0, len(at), _BATCH):
        centers = at[start : start + _BATCH]
        normals[start : start + _BATCH] = _planes(tree, centers, min(PLANE_NEIGHBOURS, tree.n))[0]
    return normals


def _planes(tree, centers: Float[np.ndarray, "n 3"], count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Unit normals of the planes through so many nearest points, and these points relative to the centers."""
    around = tree.data[tree.query(centers, k=count, workers=-1)[1]] - centers[:, None]
    spread = around - around.mean(axis=1, keepdims=True)
    return np.linalg.eigh(np.einsum("nki,nkj->nij", spread, spread))[1][:, :, 0], around


def _quadrics(
    tree, centers: Float[np.ndarray, "n 3"], count: int
) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Fits heights over the plane through so many nearest points by a quadric, nearer points counting more.

    Returns:
        Where the quadric is above the centers, its unit normals there, and how far the points scatter around it.
    """
    normal, around = _planes(tree, centers, count)
    u = np.cross(normal, np.eye(3)[np.abs(normal).argmin(axis=1)])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(normal, u)
    x, y, z = (np.einsum("nki,ni->nk", around, axis) for axis in (u, v, normal))
    radius = np.sqrt((x * x + y * y).max(axis=1, keepdims=True))
    x, y = x / radius, y / radius
    weight = np.exp(-2.0 * (x * x + y * y))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    weighted = terms * weight[..., None]
    # The ridge decides where the points lie on a line.
    moments = np.einsum("nki,nkj->nij", weighted, terms) + 1e-6 * weight.sum(axis=1)[:, None, None] * np.eye(6)
    fit = np.linalg.solve(moments, np.einsum("nki,nk->ni", weighted, z)[..., None])[..., 0]
    residual = z - np.einsum("nki,ni->nk", terms, fit)
    # Six of the squares' degrees of freedom go into the fit.
    scatter = np.sqrt((weight * residual**2).sum(axis=1) / weight.sum(axis=1) * count / max(count - 6, 1))
    slope = fit[:, 1:3] / radius
    tilted = normal - slope[:, :1] * u - slope[:, 1:] * v
    return (
        centers + fit[:, :1] * normal,
        tilted / np.linalg.norm(tilted, axis=1, keepdims=True),
        scatter,
    )


def _scatter(tree) -> float:
    """How far points scatter around a smooth surface, told by the smoothest quarter of it: edges do not count."""
    asked = np.random.default_rng(0).choice(tree.n, min(tree.n, 4096), replace=False)
    return float(np.percentile(_quadrics(tree, tree.data[asked], min(24, tree.n))[2], 25))


def _onto_quadrics(tree, count: int) -> Tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    points, normals = np.empty((tree.n, 3)), np.empty((tree.n, 3))
    for start in range(0, tree.n, _BATCH):
        part = slice(start, start + _BATCH)
        points[part], normals[part], _ = _quadrics(tree, tree.data[part], min(count, tree.n))
    return points, normals


def _outward_votes(
    tree, normals: Float[np.ndarray, "p 3"], spacing: Float[np.ndarray, " p"], typical: float
) -> Optional[Float[np.ndarray, " p"]]:
    """For each point, above 0 where its normal points outward, below where inward, 0 where that cannot be told.

    None if for most points nothing is shut off on one side.
    """
    cell = max(typical / 2.5, 2.0 / FINEST_GRID)
    size = int(np.ceil(2.0 / cell))
    cell = 2.0 / size
    distance = _distance_to_discs(tree, normals, spacing, typical, size)
    votes, thickness = np.zeros(tree.n), 0.9 * cell
    enough, walls = None, None
    # The thinnest walls that shut anything off come first; where they leak, somewhat thicker ones may not.
    while thickness < (0.5 if enough is None else 2.0 * enough):
        side = _sides(tree.data, normals, distance, thickness, cell)
        if (side < 0).any():
            unknown = np.flatnonzero(votes == 0)
            votes[unknown] = _balance(tree.data[unknown], normals[unknown], side == -1, -thickness)
            if enough is None and (votes != 0).mean() >= 0.5:
                enough, walls = thickness, side
        thickness *= 1.25
    if enough is None or walls is None:
        return None
    # In thin parts nothing is left inside the walls: there outside is nearer ahead than behind.
    unknown = np.flatnonzero(votes == 0)
    balance = _balance(tree.data[unknown], normals[unknown], walls == 1, enough)
    votes[unknown] = np.where(np.abs(balance) > 0.05, balance, 0.0)
    return votes


def _distance_to_discs(
    tree, normals: Float[np.ndarray, "p 3"], spacing: Float[np.ndarray, " p"], typical: float, size: int
) -> Float[np.ndarray, "s s s"]:
    """Distance of each of size^3 cells of the unit cube to the nearest disc; far from all of them, about."""
    from scipy.ndimage import distance_transform_cdt

    cell = 2.0 / size
    empty = np.ones((size,) * 3, bool)
    empty[_cell(tree.data, size)] = False
    steps = np.asarray(distance_transform_cdt(empty, metric="chessboard"))
    distance = steps.astype(np.float32) * np.float32(cell)
    near = np.argwhere(steps <= _REACH * typical / cell + 1)
    for start in range(0, len(near), _BATCH):
        part = near[start : start + _BATCH]
        center = (part + 0.5) * cell - 1.0
        away, which = tree.query(center, k=min(6, tree.n), workers=-1)
        height = np.einsum("nki,nki->nk", center[:, None] - tree.data[which], normals[which])
        beside = np.sqrt(np.maximum(away**2 - height**2, 0.0))
        distance[tuple(part.T)] = np.hypot(height, np.maximum(beside - _REACH * spacing[which], 0.0)).min(axis=1)
    return distance


def _cell(points: Float[np.ndarray, "n 3"], size: int) -> Tuple[Int[np.ndarray, " n"], ...]:
    return tuple(np.clip(((points.T + 1.0) * (size / 2)).astype(np.int64), 0, size - 1))


def _sides(
    points: Float[np.ndarray, "p 3"],
    normals: Float[np.ndarray, "p 3"],
    distance: Float[np.ndarray, "s s s"],
    thickness: float,
    cell: float,
) -> Int8[np.ndarray, "s s s"]:
    """1 for cells outside, -1 inside, 0 within the walls and where so little is shut off that it is a gap in them."""
    # All around the cube is outside.
    free, count = _numbered(np.pad(distance > thickness, 1, constant_values=True))
    outside = free[0, 0, 0]
    free = free[1:-1, 1:-1, 1:-1]
    deep = np.zeros(count + 1, bool)
    deep[free[distance >= max(2 * thickness, thickness + cell)]] = True
    deep[0], deep[outside] = False, True
    # The number of each region, the outside's being 0, and -1 elsewhere.
    region = np.full(count + 1, -1)
    region[deep] = np.arange(1, deep.sum() + 1)
    region[region > region[outside]] -= 1
    region[outside] = 0
    regions = int(region.max()) + 1
    side = np.zeros(count + 1, np.int8)
    side[deep] = (1 - 2 * (_walls_from_outside(points, normals, region[free], regions, thickness) % 2))[region[deep]]
    return side[free]


def _numbered(cells: Bool[np.ndarray, "s s s"]) -> Tuple[Int[np.ndarray, "s s s"], int]:
    """The number of each cell's connected region, from 1 on, 0 elsewhere; and how many there are."""
    from scipy.ndimage import label

    return label(cells)  # pyright: ignore[reportReturnType] (scipy's types leave open what `output` decides)


def _walls_from_outside(
    points: Float[np.ndarray, "p 3"],
    normals: Float[np.ndarray, "p 3"],
    region: Int[np.ndarray, "s s s"],
    regions: int,
    thickness: float,
) -> Int[np.ndarray, " r"]:
    """How many walls there are between each region and the outside, number 0: behind a second one lies a cavity."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    walls = np.ones(regions, np.int64)
    walls[0] = 0
    if regions <= 2:
        return walls
    ends = np.full((2, len(points)), -1)
    for steps in np.arange(1, 8) / 2:
        for end, direction in zip(ends, (1, -1)):
            found = region[_cell(points + direction * steps * thickness * normals, len(region))]
            end[end < 0] = found[end < 0]
    one, other = ends[:, (ends >= 0).all(axis=0) & (ends[0] != ends[1])]
    # Of the ways to a region the one through the most points counts, the others being leaks.
    links = coo_matrix((np.ones(len(one)), (one, other)), shape=(regions, regions)).tocsr()
    tree = minimum_spanning_tree(-(links + links.T))
    order, before = breadth_first_order(tree, 0, directed=False)
    for at in order[1:]:
        walls[at] = walls[before[at]] + 1
    return walls


def _balance(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    cells: Bool[np.ndarray, "s s s"],
    step: float,
) -> Float[np.ndarray, " n"]:
    """How much more of such cells, in [-1, 1], a point has ahead, in steps along its normal, than behind."""
    balance, total = np.zeros(len(points)), 0.0
    for steps in np.arange(1, 8) / 2:
        # What is near counts more: behind a thin plate comes the outside again.
        weight, offset = np.exp(-steps / 1.5), steps * step * normals
        ahead, behind = cells[_cell(points + offset, len(cells))], cells[_cell(points - offset, len(cells))]
        balance += weight * (ahead.astype(float) - behind)
        total += weight
    return balance / total
