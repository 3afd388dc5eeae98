"""What is done to a mesh after it has been extracted, and whether it is closed."""

from __future__ import annotations

import itertools
from typing import Tuple

import numpy as np
from jaxtyping import Float, Int


def is_watertight(faces: Int[np.ndarray, "f 3"]) -> bool:
    """Every edge belongs to exactly two faces; False without faces."""
    # As trimesh has it, in a tenth of the memory: meshes may have tens of millions of faces.
    edges = np.empty(3 * len(faces), dtype=np.int64)
    count = int(faces.max(initial=0)) + 1
    for side in range(3):
        one, other = faces[:, side], faces[:, (side + 1) % 3]
        part = edges[side * len(faces) : (side + 1) * len(faces)]
        np.multiply(np.minimum(one, other), count, out=part)
        part += np.maximum(one, other)
    edges.sort()
    if not len(edges) or len(edges) % 2:
        return False
    return bool((edges[::2] == edges[1::2]).all() and (edges[2::2] != edges[1:-1:2]).all())


def largest_components(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], count: int
) -> Tuple[Float[np.ndarray, "w 3"], Int[np.ndarray, "g 3"], int]:
    """The parts of a mesh with the largest areas.

    Args:
        vertices, faces: the mesh. What hangs together through shared vertices is one component.
        count: how many to keep.

    Returns:
        Their vertices and faces, and how many components there were.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = faces[:, :2].ravel(), faces[:, 1:].ravel()
    links = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(len(vertices), len(vertices)))
    found, of_vertex = connected_components(links, directed=False)
    if found <= count:
        return vertices, faces, found
    of_face = of_vertex[faces[:, 0]]
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    areas = np.bincount(of_face, np.linalg.norm(np.cross(b - a, c - a), axis=1), minlength=found)
    kept = np.zeros(found, dtype=bool)
    kept[np.argsort(areas)[-count:]] = True
    numbers = np.cumsum(kept[of_vertex]) - 1
    return vertices[kept[of_vertex]], numbers[faces[kept[of_face]]], found


def simplified(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], target: int
) -> Tuple[Float[np.ndarray, "w 3"], Int[np.ndarray, "g 3"]]:
    """A closed mesh with about `target` faces, by collapsing edges in the order of their quadric errors (Garland and
    Heckbert 1997); unchanged where it has no more than that."""
    if len(faces) <= target:
        return vertices, faces
    import fast_simplification

    # It refuses arrays that are not to be written to.
    collapsed = fast_simplification.simplify(np.array(vertices), np.array(faces), target_count=target)
    return _with_single_edges(collapsed[0], collapsed[1].astype(np.int64))


def _with_single_edges(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Tuple[Float[np.ndarray, "w 3"], Int[np.ndarray, "g 3"]]:
    """Where two sheets of a surface have come to share an edge, one of them gets a vertex in the middle of it."""
    while not is_watertight(faces):
        sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
        _, of_side, count = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True, return_counts=True)
        middles, new, cut = [], [], set()
        for edge in np.flatnonzero(count == 4):
            around = np.flatnonzero(of_side.reshape(-1) == edge).tolist()
            start = sides[around[0], 0]
            # Two faces that are neighbours in one sheet; not each other's back, whose other edges would be shared.
            pairs = [
                (one, other)
                for one, other in itertools.product(around, around)
                if sides[one, 0] == start != sides[other, 0]
                and faces.flat[_opposite(one)] != faces.flat[_opposite(other)]
            ]
            if not pairs or cut & {side // 3 for side in pairs[0]}:
                continue  # In the next round, if its faces have been cut in this one.
            for side in pairs[0]:
                (one, other), opposite = sides[side], faces.flat[_opposite(side)]
                faces[side // 3] = one, len(vertices) + len(middles), opposite
                new.append((len(vertices) + len(middles), other, opposite))
                cut.add(side // 3)
            middles.append(vertices[sides[around[0]]].mean(axis=0))
        if not middles:
            break
        vertices, faces = np.concatenate([vertices, middles]), np.concatenate([faces, np.array(new, dtype=np.int64)])
    return vertices, faces


def _opposite(side: int) -> int:
    """Where in the flat list of faces the vertex is that lies opposite to a side."""
    return side // 3 * 3 + (side + 2) % 3
