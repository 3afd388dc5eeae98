"""Level sets of functions that can be evaluated anywhere: marching cubes where the surface is, and only there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.meshing.narrow_band import BRICK, Distance, NarrowBand
from winner_ns.progress import Report, silent

BLOCK = 4
"""Bricks along each side of the blocks that are handed to marching cubes."""


@dataclass
class LevelSet:
    """A surface, and what it took to find it."""

    vertices: Float[np.ndarray, "v 3"]
    """float64, in the function's coordinates."""
    faces: Int[np.ndarray, "f 3"]
    """int64, counter-clockwise seen from outside; vertices and faces are empty where there is no surface."""
    spacing: Float[np.ndarray, "3"]
    """Of the grid, along each axis."""
    grid_points: int
    points_evaluated: int
    slope: float
    """That was relied on: nowhere has a larger one been seen."""


def extract_level_set(
    distance: Distance,
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
    resolution: int,
    trusted: float,
    report: Report = silent,
) -> LevelSet:
    """The zero level set of a function in a box, by marching cubes (Lorensen and Cline 1987) on a regular grid.

    The mesh is the one that evaluating the whole grid leads to, but the function is evaluated near the surface only:
    a cell of the grid, or a larger one, is left out where the function says at its centre that the surface is further
    away than its corners are. How far away that is depends on how steep the function is. This is measured in all that
    is evaluated; where it is steeper than was relied on, what was left out is looked at again. Of each component that
    is found, all is found. One is lost if the function is so steep around it that neither the centre of the cell that
    it is in nor those nearby tell of it.

    Args:
        distance: the function, negative inside.
        low, high: corners of the box.
        resolution: grid points along the longest axis, at least 3; the others have as many as make cells that are
            nearly cubic, and at least 3: the outermost belong to the walls.
        trusted: further from zero than this, values are too noisy to tell how steep the function is.
        report: is told about the progress.

    Returns:
        The surface, closed: the box's walls count as outside. There is none where the function is nowhere positive,
        or nowhere negative.

    Raises:
        SignalError: the surface is too large for the memory.
    """
    lines = grid_lines(low, high, resolution)
    band = NarrowBand(distance, lines, trusted, report)
    band.refine()
    while band.raise_slopes():
        band.refine()
    band.follow()
    while band.raise_slopes():
        band.refine()
        band.follow()
    found = LevelSet(
        vertices=np.empty((0, 3)),
        faces=np.empty((0, 3), dtype=np.int64),
        spacing=np.array([line[1] - line[0] for line in lines]),
        grid_points=int(np.prod([len(line) for line in lines], dtype=np.int64)),
        points_evaluated=band.evaluated,
        slope=float(band.slopes.max()),
    )
    if band.highest > 0:
        pieces = _marching_cubes(band, lines, report)
        del band  # Larger than the pieces.
        found.vertices, found.faces = _joined(*pieces, lines)
    return found


def grid_lines(low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"], resolution: int) -> List[np.ndarray]:
    """Coordinates (float64) of a box's grid along each axis, the longest of which has `resolution` points."""
    extent = np.asarray(high, dtype=np.float64) - low
    counts = np.ceil(extent / extent.max() * (resolution - 1) - 1e-6).astype(int) + 1
    return [np.linspace(start, stop, max(n, 3)) for start, stop, n in zip(low, high, counts, strict=True)]


def _marching_cubes(
    band: NarrowBand, lines: List[np.ndarray], report: Report
) -> Tuple[List[np.ndarray], List[np.ndarray], List[np.ndarray]]:
    """The surface in each block: the grid's edges on which its vertices lie, where between the ends of these (as a
    share of their length), and its faces, whose vertices are counted through all blocks.

    An edge is the sum of its ends' numbers along each axis, as one flat index into a grid twice as fine.
    """
    import mcubes

    # A cell belongs to the block of its lowest corner.
    positions = band.positions()
    offsets = np.stack(np.meshgrid(*[(0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.concatenate([np.unique(np.maximum(positions - o, 0) // BLOCK, axis=0) for o in offsets])
    corners = np.unique(corners, axis=0) * BLOCK
    edges, shares, faces, count = [], [], [], 0
    for done, corner in enumerate(corners, 1):
        report("marching cubes", done, len(corners))
        values = band.block(corner, BLOCK)
        outside = values > 0
        if outside.all() or not outside.any():
            continue
        # Of signs alone, so that all vertices are in the middle of their edges, by which they are known.
        middles, triangles = mcubes.marching_cubes(outside.astype(np.int8), 0.5)
        ends = np.rint(2 * middles).astype(np.int64)
        one, other = (values[tuple(end.T)] for end in (ends // 2, (ends + 1) // 2))
        shares.append(one / (one - other))
        edges.append(np.ravel_multi_index(tuple((ends + 2 * BRICK * corner).T), [2 * len(line) for line in lines]))
        # PyMCubes turns faces towards larger values, which are outside here.
        faces.append((triangles[:, ::-1] + np.uint64(count)).astype(np.int32))
        count += len(ends)
    return edges, shares, faces


def _joined(
    edges: List[np.ndarray], shares: List[np.ndarray], faces: List[np.ndarray], lines: List[np.ndarray]
) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """One mesh, in which every edge of the grid has one vertex."""
    if not edges:
        return np.empty((0, 3)), np.empty((0, 3), dtype=np.int64)
    distinct, first, numbers = np.unique(np.concatenate(edges), return_index=True, return_inverse=True)
    share = np.concatenate(shares)[first]
    del edges[:], shares[:], first
    vertices = np.empty((len(distinct), 3))
    for axis, ends in enumerate(np.unravel_index(distinct, [2 * len(line) for line in lines])):
        line = lines[axis]
        spacing = (line[-1] - line[0]) / (len(line) - 1)
        vertices[:, axis] = line[0] + spacing * (ends // 2 + ends % 2 * share.astype(np.float64))
    joined = np.empty((sum(map(len, faces)), 3), dtype=np.int64)
    start = 0
    for part in faces:
        joined[start : start + len(part)] = numbers[part]
        start += len(part)
    return vertices, joined
