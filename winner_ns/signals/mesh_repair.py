"""Broken meshes made usable: repeated faces, faces and whole parts that point the wrong way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

MOSTLY_CLOSED = 0.3
"""A part counts as one that encloses a volume while its holes have at most this share of its area: what remains when
the areas of its faces are summed as vectors, which cancel all around a closed surface."""

FACES_ASKED = 16
"""Faces of a part that tell whether it lies within another one."""

# How far beside a face its sides are asked, in units of the unit cube: beyond what single precision blurs.
_ASIDE = 1e-5
# How far away, over its size, a group of faces has to be to be taken for one in a first look at winding numbers; else,
# as libigl has it, 2.
_ROUGHLY = 1.2
# How far from a threshold nothing is left in doubt by that: they were found to err by 0.07 at most.
_UNCLEAR = 0.25
# Faces whose corners are looked up in one go.
_BATCH = 2**16


@dataclass
class Edges:
    """The half-edges of a mesh, side by side with their partners.

    Half-edge h runs along side h // f of face h % f, for f faces.
    """

    halfedges: Int[np.ndarray, " h"]
    """All half-edges, those of the same edge next to each other."""
    starts: Int[np.ndarray, " e"]
    """Where in `halfedges` each edge begins."""
    counts: Int[np.ndarray, " e"]
    """How many faces each edge has."""
    forward: Bool[np.ndarray, " h"]
    """Whether a half-edge, in its own numbering, runs from the smaller vertex to the larger."""

    @property
    def watertight(self) -> bool:
        """Every edge belongs to exactly two faces."""
        return bool((self.counts == 2).all())

    def pairs(self) -> Tuple[Int[np.ndarray, "p 2"], Bool[np.ndarray, " p"]]:
        """The two faces at each edge that has two, and whether they are oriented alike."""
        first = self.starts[self.counts == 2]
        one, other = self.halfedges[first], self.halfedges[first + 1]
        faces = len(self.halfedges) // 3
        return np.stack([one % faces, other % faces], axis=1), self.forward[one] != self.forward[other]


def doubled_areas(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, " f"]:
    """Twice the area of each face."""
    areas = np.empty(len(faces))
    for start in range(0, len(faces), _BATCH):
        a, b, c = np.moveaxis(vertices[faces[start : start + _BATCH]], 1, 0)
        areas[start : start + _BATCH] = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return areas


def mesh_edges(faces: Int[np.ndarray, "f 3"], vertices: int) -> Edges:
    """The edges of a mesh with so many vertices."""
    key = _edge_names(faces, vertices).T.ravel()
    forward = (faces < faces[:, [1, 2, 0]]).T.ravel()
    halfedges = np.argsort(key, kind="stable")
    key = key[halfedges]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return Edges(halfedges, starts, np.diff(np.append(starts, len(key))), forward)


def without_repeated_faces(faces: Int[np.ndarray, "f 3"], vertices: int) -> Int[np.ndarray, "g 3"]:
    """One face for each set of three vertices, whichever way round: copies would count twice in a winding number.

    Two shells that share faces keep both copies, as without one of them the other shell would stand open.
    """
    # The sum of three random numbers tells the sets apart: 2^64 values, and no need to sort each face's vertices.
    names = np.random.default_rng(0).integers(0, 2**64, vertices, dtype=np.uint64)
    name = names[faces].sum(axis=1)
    in_order = np.sort(name)
    if (in_order[1:] != in_order[:-1]).all():
        return faces
    _, first, which, number = np.unique(name, return_index=True, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(number > 1)
    edge, edges = np.unique(_edge_names(faces[first[repeated]], vertices), return_inverse=True)
    edges = edges.reshape(-1, 3)
    single = np.sort(_edge_names(faces[number[which] == 1], vertices).ravel())
    singles = np.searchsorted(single, edge, "right") - np.searchsorted(single, edge, "left")
    # Where patches of copies meet other faces, an even number of faces at an edge says that nothing is open.
    with_one = singles + np.bincount(edges.ravel(), minlength=len(edge))
    with_all = singles + np.bincount(edges.ravel(), np.repeat(number[repeated], 3), len(edge)).astype(np.int64)
    opened = (singles > 0) * (with_one % 2 - with_all % 2)
    order = np.argsort(edges.ravel(), kind="stable")
    meeting = np.flatnonzero(np.diff(edges.ravel()[order]) == 0)
    patch = _components(len(repeated), np.stack([order[meeting] // 3, order[meeting + 1] // 3], axis=1))
    needed = np.bincount(patch, opened[edges].sum(axis=1)) > 0
    keep = np.zeros(len(faces), bool)
    keep[first] = True
    keep[np.isin(which, repeated[needed[patch]])] = True
    return faces[keep]


def _edge_names(faces: Int[np.ndarray, "f 3"], vertices: int) -> Int[np.ndarray, "f 3"]:
    after = faces[:, [1, 2, 0]]
    return np.minimum(faces, after) * vertices + np.maximum(faces, after)


def oriented_outward(
    path: Path, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], warnings: List[str]
) -> Tuple[Int[np.ndarray, "f 3"], bool]:
    """Turns faces and parts of a mesh around that point the wrong way, and adds a warning for each kind of change.

    First the faces of a patch (connected by edges of two faces) are made to point to the same side, that of most of
    them. Then each part that encloses a volume is turned outward. A part within others keeps its orientation relative
    to the one around it where that is solid: pointing the other way it is a cavity, else solid within solid. What
    encloses nothing is turned as one, if at all.

    Returns:
        The faces, and whether every edge belongs to exactly two of them.
    """
    edges = mesh_edges(faces, len(vertices))
    patch, reversed_faces = connected_patches(len(faces), *edges.pairs())
    if reversed_faces.any():
        # Which of a patch's two sides is out is decided by most of its faces.
        mostly = np.bincount(patch, weights=reversed_faces) > np.bincount(patch) / 2
        wrong = reversed_faces != mostly[patch]
        faces = np.where(wrong[:, None], faces[:, ::-1], faces)
        warnings.append(f"{path}: {int(wrong.sum())} of {len(faces)} faces point the wrong way; they are turned around")
    part, watertight = _parts(patch, edges), edges.watertight
    del edges, patch, reversed_faces  # Together some 60 bytes a face, which the parts' winding numbers may need.
    inward = _inward_parts(vertices, faces, part)
    if inward.all():
        warnings.append(f"{path}: the faces point inward; they are turned around")
    elif inward.any():
        warnings.append(
            f"{path}: {int(inward.sum())} of {len(inward)} parts of the mesh point inward; they are turned around"
        )
    return np.where(inward[part][:, None], faces[:, ::-1], faces), watertight


def connected_patches(
    count: int, pairs: Int[np.ndarray, "p 2"], alike: Bool[np.ndarray, " p"]
) -> Tuple[Int[np.ndarray, " f"], Bool[np.ndarray, " f"]]:
    """Numbers the patches that pairs of faces (or of other things with two sides) connect, and tells which of them are
    to be turned for all of a patch to be oriented alike."""
    if alike.all():
        return _components(count, pairs), np.zeros(count, bool)
    # Each face stands there twice, as it is and turned; a pair connects what fits together. A patch so falls into two,
    # and its first face as it is lies in one of them. (A one-sided patch, as of a Moebius strip, stays whole.)
    one, other = pairs.T
    double = np.concatenate([np.stack([one, other], 1), np.stack([one + count, other + count], 1)])
    double[np.tile(~alike, 2), 1] = np.concatenate([other + count, other])[np.tile(~alike, 2)]
    label = _components(2 * count, double)
    as_it_is, turned = label[:count], label[count:]
    patch = np.unique(np.minimum(as_it_is, turned), return_inverse=True)[1]
    first = np.unique(patch, return_index=True)[1]
    return patch, as_it_is != as_it_is[first][patch]


def _components(count: int, pairs: Int[np.ndarray, "p 2"]) -> Int[np.ndarray, " f"]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _parts(patch: Int[np.ndarray, " f"], edges: Edges) -> Int[np.ndarray, " f"]:
    """Numbers the parts that are turned as a whole: closed patches, and open ones together with what they touch."""
    if edges.watertight:
        return patch
    # A patch is closed where it has an even number of faces at each edge, as at one that two boxes share.
    several = np.repeat(edges.counts != 2, edges.counts)
    halfedges, edge = edges.halfedges[several], np.repeat(np.arange(len(edges.counts)), edges.counts)[several]
    at = patch[halfedges % len(patch)]
    (edge_of, patch_of), number = np.unique(np.stack([edge, at]), axis=1, return_counts=True)
    is_open = np.zeros(patch.max() + 1, bool)
    is_open[patch_of[number % 2 == 1]] = True
    edge_of, patch_of = edge_of[is_open[patch_of]], patch_of[is_open[patch_of]]
    pairs = np.stack([patch_of[1:], patch_of[:-1]], axis=1)[edge_of[1:] == edge_of[:-1]]
    return _components(len(is_open), pairs)[patch]


def _inward_parts(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], part: Int[np.ndarray, " f"]
) -> Bool[np.ndarray, " k"]:
    """Which parts are to be turned around."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    doubled = np.linalg.norm(across, axis=1)
    count = int(part.max()) + 1

    def summed(values: Shaped[np.ndarray, " f"]) -> Float[np.ndarray, " k"]:
        return np.bincount(part, weights=values, minlength=count)

    area = np.maximum(summed(doubled), np.finfo(float).tiny)
    middle = np.stack([summed(doubled * (a + b + c)[:, i]) for i in range(3)], axis=1) / (3 * area[:, None])
    left_over = np.stack([summed(across[:, i]) for i in range(3)], axis=1)
    # By the divergence theorem, with holes closed by cones to the part's middle.
    volume = (summed(np.einsum("fi,fi->f", a, across)) - np.einsum("ki,ki->k", middle, left_over)) / 6
    encloses = np.linalg.norm(left_over, axis=1) <= MOSTLY_CLOSED * area
    inward = volume < 0
    sheets = ~encloses
    if sheets.any():
        # Together: what they enclose, if anything, they enclose together.
        inward[sheets] = volume[sheets].sum() + (middle[sheets] * left_over[sheets]).sum() / 6 < 0
    del a, b, c, across, doubled
    if encloses.sum() > 1:
        inward[encloses] = _turned_relative_to_surroundings(vertices, faces, part, inward, encloses)[encloses]
    return inward


def _turned_relative_to_surroundings(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    part: Int[np.ndarray, " f"],
    inward: Bool[np.ndarray, " k"],
    encloses: Bool[np.ndarray, " k"],
) -> Bool[np.ndarray, " k"]:
    """Which parts are to be turned around, given which enclose a volume and which of those point inward by themselves.

    In air a part is turned outward. In solid it keeps its orientation relative to the part around it.
    """
    order = np.argsort(part, kind="stable")
    ends = np.searchsorted(part[order], np.arange(len(inward) + 1))
    outward = np.where(inward[part][:, None], faces[:, ::-1], faces)
    asked = {
        int(i): order[np.unique(np.linspace(ends[i], ends[i + 1] - 1, FACES_ASKED).astype(int))]
        for i in np.flatnonzero(encloses)
    }
    # What else encloses the asked faces; the part itself makes one half on average over a face's two sides.
    everything = WindingNumbers(vertices, outward[encloses[part]])
    around = both_sides(everything, vertices[outward[np.concatenate(list(asked.values()))]]).mean(axis=0) - 0.5
    pieces = np.split(around, np.cumsum([len(a) for a in asked.values()])[:-1])
    depth = {i: round(float(piece.min())) for i, piece in zip(asked, pieces)}
    nested = np.array(sorted((i for i in asked if depth[i] >= 1), key=lambda i: depth[i]), dtype=np.int64)
    turned = inward.copy()
    if not len(nested):
        return turned

    corners = vertices[faces]
    low = np.stack([np.minimum.reduceat(corners.min(axis=1)[order, i], ends[:-1]) for i in range(3)], axis=1)
    high = np.stack([np.maximum.reduceat(corners.max(axis=1)[order, i], ends[:-1]) for i in range(3)], axis=1)
    holders: Dict[int, List[int]] = {i: [] for i in nested.tolist()}
    for j in asked:
        within = nested[((low[nested] >= low[j]) & (high[nested] <= high[j])).all(axis=1) & (nested != j)].tolist()
        if within:
            alone = WindingNumbers(vertices, outward[order[ends[j] : ends[j + 1]]])
            for i in within:
                if alone.above(vertices[faces[asked[i]]].mean(axis=1), 0.5).all():
                    holders[i].append(j)
    for i in holders:
        # +1 for each part around that adds solid, -1 for each cavity.
        surroundings = sum(1 if turned[j] == inward[j] else -1 for j in holders[i])
        if holders[i] and surroundings > 0:
            nearest = max(holders[i], key=lambda j: depth.get(j, 0))
            turned[i] = turned[nearest]
    return turned


class WindingNumbers:
    """The generalised winding numbers of a mesh, by libigl's tree (Barill et al. 2018).

    Args:
        vertices: in the unit cube.
        faces: of any number, open or closed.
    """

    def __init__(self, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> None:
        import igl

        self._tree = igl.FastWindingNumberBVH()
        self._tree.init(np.ascontiguousarray(vertices), np.ascontiguousarray(faces))

    def winding_number(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """How often the mesh winds around each point; right to 0.005, in single precision."""
        return np.asarray(self._tree.winding_number(points))

    def above(self, points: Float[np.ndarray, "n 3"], threshold: float) -> Bool[np.ndarray, " n"]:
        """Where the winding number is above a threshold: 1/2 tells what is inside. As `winding_number` says, in less
        than half of its time."""
        windings = np.asarray(self._tree.winding_number(points, _ROUGHLY))
        unclear = np.flatnonzero(np.abs(windings - threshold) < _UNCLEAR)
        windings[unclear] = self.winding_number(points[unclear])
        return windings > threshold


def both_sides(windings: WindingNumbers, corners: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "2 n"]:
    """The winding numbers in front of and behind the middles of triangles."""
    return np.stack([windings.winding_number(beside(corners, side)) for side in (1, -1)])


def beside(corners: Float[np.ndarray, "n 3 3"], side: int) -> Float[np.ndarray, "n 3"]:
    """Points in front of (side 1) or behind (side -1) the middles of triangles."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal *= side * _ASIDE / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), np.finfo(float).tiny)
    return corners.mean(axis=1) + normal
