"""Polygons as triangles: fans where they cover the polygon, else ear clipping."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, Sequence, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int

from winner_ns.errors import SignalError, counted

MOST_CORNERS = 2**16
"""Of a concave polygon: ear clipping takes up to quadratic time."""

# Part of a polygon's area that a fan's triangle may overlap by: rounding where corners lie on a line.
_OVERLAP = 1e-7
# Part of a polygon's area by which its triangles' may differ before it counts as one that crosses itself.
_AREA_ERROR = 1e-6
_BATCH = 2**16


def triangulated(
    path: Path, vertices: Float[np.ndarray, "v 3"], polygons: Iterable[Int[np.ndarray, "_ _"]], notes: List[str]
) -> Int[np.ndarray, "f 3"]:
    """Triangles that cover polygons and have the same boundary, each vertex of a polygon's outline included.

    A polygon is split by a fan around its first corner (a quadrangle around its second one, if that is better) where
    none of the fan's triangles points backwards; else by ear clipping (mapbox/earcut) in its plane, that of Newell's
    normal. Corners on a line are kept by triangles without area, so that neighbours stay connected.

    Args:
        path: what messages call the file.
        vertices: their corners.
        polygons: numbers of vertices, of all polygons with n corners together.
        notes: gets a line for what is left out or a guess.

    Raises:
        SignalError: a corner is no vertex, or a concave polygon has more than MOST_CORNERS corners.
    """
    triangles: List[np.ndarray] = [np.empty((0, 3), np.int64)]
    small = crossing = 0
    for group in polygons:
        _check_corners(path, vertices, group)
        corners = group.shape[1]
        if corners < 3:
            small += len(group)
        elif corners == 3:
            triangles.append(np.asarray(group, np.int64))
        else:
            for start in range(0, len(group), max(_BATCH * 4 // corners, 1)):
                some = np.asarray(group[start : start + max(_BATCH * 4 // corners, 1)], np.int64)
                found, crossed = _split(path, vertices[some], some)
                triangles += found
                crossing += crossed
    if small:
        notes.append(f"{path}: {counted(small, 'face')} of fewer than three corners left out")
    if crossing:
        notes.append(f"{path}: {counted(crossing, 'face')} crossing themselves; what is covered there is a guess")
    return np.concatenate(triangles)


def triangulated_corners(
    path: Path, vertices: Float[np.ndarray, "v 3"], polygons: Sequence[Int[np.ndarray, "_ _"]]
) -> Int[np.ndarray, "f 3"]:
    """The same triangles in the same order, told by numbers of corners: of all polygons as they come, one after the
    other. What a polygon or a corner has of its own, as a colour, is found by these.

    Raises:
        SignalError: as `triangulated`.
    """
    numbered, start = [], 0
    for group in polygons:
        _check_corners(path, vertices, group)
        numbered.append(np.arange(start, start + group.size).reshape(group.shape))
        start += group.size
    places = vertices[np.concatenate([np.empty(0, np.int64), *(group.ravel() for group in polygons)])]
    return triangulated(path, places, numbered, [])


def _check_corners(path: Path, vertices: Float[np.ndarray, "v 3"], group: Int[np.ndarray, "_ _"]) -> None:
    if group.size and (group.min() < 0 or group.max() >= len(vertices)):
        raise SignalError(path, "has faces with vertices that are not there", "export the mesh again")


def _split(
    path: Path, places: Float[np.ndarray, "m n 3"], polygons: Int[np.ndarray, "m n"]
) -> Tuple[List[np.ndarray], int]:
    """Triangles of polygons with the same number of corners, and how many of these cross themselves."""
    count, corners = polygons.shape
    with np.errstate(invalid="ignore", over="ignore"):
        places = places - places[:, :1]
        normal = _newell(places)
        fits, worst = _fan_fits(places, normal)
        if corners == 4:
            # The other diagonal, unless the first one is as good.
            fits_other, worst_other = _fan_fits(np.roll(places, -1, axis=1), normal)
            turned = ~fits & (fits_other | (worst_other > worst))
            polygons = np.where(turned[:, None], np.roll(polygons, -1, axis=1), polygons)
            # Two triangles can only miss a quadrangle that crosses itself, or that is bent sharply.
            crossed = int((~fits & ~fits_other).sum())
            return [_fans(polygons)], crossed
    # What is not finite is found later, whatever its triangles.
    fits |= ~np.isfinite(normal).all(axis=1)
    found, crossed = [_fans(polygons[fits])], 0
    for i in np.flatnonzero(~fits):
        if corners > MOST_CORNERS:
            problem = f"has a concave face of {corners} corners"
            raise SignalError(path, problem, f"split it into faces of at most {MOST_CORNERS}")
        local, covers = _clipped(places[i], normal[i])
        found.append(polygons[i][local])
        crossed += not covers
    return found, crossed


def _newell(places: Float[np.ndarray, "m n 3"]) -> Float[np.ndarray, "m 3"]:
    """Normals as long as twice the polygons' areas."""
    return np.cross(places, np.roll(places, -1, axis=1)).sum(axis=1)


def _fan_fits(
    places: Float[np.ndarray, "m n 3"], normal: Float[np.ndarray, "m 3"]
) -> Tuple[Bool[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Whether no triangle of the fan around the first corner points backwards, and the least of their areas as seen
    along the normal, in parts of the square of the normal's length."""
    first = places[:, :1]
    areas = np.einsum("mni,mi->mn", np.cross(places[:, 1:-1] - first, places[:, 2:] - first), normal)
    total = np.maximum(np.einsum("mi,mi->m", normal, normal), np.finfo(float).tiny)
    worst = areas.min(axis=1) / total
    return worst >= -_OVERLAP, worst


def _fans(polygons: Int[np.ndarray, "m n"]) -> Int[np.ndarray, "f 3"]:
    first = np.broadcast_to(polygons[:, :1], (len(polygons), polygons.shape[1] - 2))
    return np.stack([first, polygons[:, 1:-1], polygons[:, 2:]], axis=2).reshape(-1, 3)


def _clipped(places: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, "3"]) -> Tuple[np.ndarray, bool]:
    """Triangles, in numbers of corners, of a polygon in its plane; and whether their area is the polygon's."""
    import mapbox_earcut

    corners = len(places)
    normal = normal / (np.linalg.norm(normal) or 1.0)
    across = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    across /= np.linalg.norm(across) or 1.0
    flat = np.stack([places @ across, places @ np.cross(normal, across)], axis=1)
    # Corners may come in any unit.
    flat /= np.abs(flat).max() or 1.0
    found = mapbox_earcut.triangulate_float64(np.ascontiguousarray(flat), np.array([corners], np.uint32))
    triangles = np.asarray(found, np.int64).reshape(-1, 3)
    if not len(triangles):
        return _fans(np.arange(corners)[None]), False
    a, b, c = (flat[triangles[:, i]] for i in range(3))
    doubled = _cross2(b - a, c - a)
    triangles = np.where(doubled[:, None] < 0, triangles[:, ::-1], triangles)
    outline = _cross2(flat, np.roll(flat, -1, axis=0)).sum()
    covers = bool(abs(np.abs(doubled).sum() - outline) <= _AREA_ERROR * outline)
    return np.concatenate([triangles, _along_the_outline(triangles, corners)]), covers


def _cross2(a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _along_the_outline(triangles: Int[np.ndarray, "f 3"], corners: int) -> Int[np.ndarray, "g 3"]:
    """Triangles without area for the corners that ear clipping leaves out, as those between others on a line."""
    edges = np.stack([triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()], axis=1)
    names = set(map(tuple, edges.tolist()))
    extra = []
    for start, end in names:
        if (end, start) in names:
            continue
        left_out = (end - start) % corners
        extra += [(start, (start + k) % corners, (start + k + 1) % corners) for k in range(1, left_out)]
    return np.array(extra, np.int64).reshape(-1, 3)
