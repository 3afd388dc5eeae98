"""The outer surface of meshes that run through themselves: faces inside the solid are no part of it.

Where closed shells overlap, the distance to the nearest face is not that to the solid's surface: the parts of each
shell inside another one bound nothing. Faces that cross are cut where they do, and what has solid on both sides is left
out, so that distances are those of the union.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int

from winner_ns.signals.mesh_repair import FACES_ASKED, WindingNumbers, beside, doubled_areas, mesh_edges

SOLID_IN_FRONT = 0.4
"""A face whose winding number in front is above this is hidden. A face between outside and inside has 0 in front, one
within a solid 1; a single wall across a solid, which is no boundary itself, has 1/2 there."""

# Meshes of no more faces are first looked at for crossings, face by face, which is sooner done than to ask at points.
_FEW_FACES = 2**15
# Points that tell whether there are hidden faces at all: a share of 1e-4 of the area is missed once in a thousand.
_POINTS_ASKED = 2**16
# Edges that are looked at in one go.
_BATCH = 2**16
# Nearer to a plane than this a corner lies in it; in units of the unit cube.
_FLAT = 1e-11


@dataclass
class OuterSurface:
    """What is left of a mesh without the faces that lie inside the solid."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    """The surface between solid and air. Where faces were cut, their neighbours' edges have vertices amid them."""
    shells: Int[np.ndarray, "g 3"]
    """The given faces without those patches of which nothing is seen, on the given vertices. Their winding number says
    where the solid is; some of these faces may lie inside it."""


@dataclass
class Crossings:
    """How faces of a mesh meet, as far as that is found without its winding numbers."""

    pairs: Int[np.ndarray, "p 2"]
    """Faces that meet other than in vertices and edges that they share."""
    coplanar: Bool[np.ndarray, " p"]
    """Whether these are in one plane."""
    whole: Int[np.ndarray, " w"]
    """Faces that nothing crosses."""
    whole_patch: Int[np.ndarray, " w"]
    """Of these alone, the patches that edges of two faces connect."""
    patch: Int[np.ndarray, " f"]
    """Of all faces."""

    @classmethod
    def of(cls, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> "Crossings":
        """Finds them; takes some 300 bytes a face while it searches."""
        pairs, coplanar = _crossing_pairs(vertices, faces)
        whole = np.setdiff1d(np.arange(len(faces)), pairs)
        return cls(pairs, coplanar, whole, _manifold_patches(faces[whole]), _manifold_patches(faces))


def has_hidden_faces(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], windings: WindingNumbers
) -> bool:
    """Whether parts of a surface lie inside the solid, by points all over it.

    Args:
        vertices: in the unit cube.
        faces: oriented outward, each with an area.
        windings: of the mesh.
    """
    if len(faces) <= _FEW_FACES and _is_simple(vertices, faces):
        return False
    return bool(_hidden(windings, _scattered(vertices, faces)).any())


def outer_surface(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    windings: WindingNumbers,
    crossings: Crossings,
) -> Optional[OuterSurface]:
    """The surface that separates a solid from what is around it, or None where no face is hidden after all.

    Args:
        vertices, faces, windings: as for `has_hidden_faces`.
        crossings: of the mesh.
    """
    pairs, coplanar, whole = crossings.pairs, crossings.coplanar, crossings.whole
    crossing = np.unique(pairs)
    hidden = _hidden_patches(vertices, faces[whole], crossings.whole_patch, windings)
    whole = whole[~hidden]
    pieces, owner = _cut(vertices[faces[crossing]], np.searchsorted(crossing, pairs), coplanar)
    owner = crossing[owner]
    seen = ~_hidden(windings, pieces)
    if seen.all() and not hidden.any():
        return None  # Where a surface almost touches itself, the winding number errs.
    pieces, owner = pieces[seen], owner[seen]

    joined = np.concatenate([vertices, pieces.reshape(-1, 3)])
    kept = np.concatenate([faces[whole], np.arange(len(vertices), len(joined)).reshape(-1, 3)])
    used = np.zeros(len(joined), bool)
    used[kept] = True
    kept = (np.cumsum(used) - 1)[kept]
    patch = crossings.patch
    shown = np.zeros(patch.max() + 1, bool)
    shown[patch[whole]] = shown[patch[owner]] = True
    return OuterSurface(joined[used], kept, faces[shown[patch]])


def _is_simple(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> bool:
    """Whether faces are one closed shell that nothing crosses, which has solid on one side only."""
    edges = mesh_edges(faces, len(vertices))
    return bool(
        edges.watertight
        and edges.pairs()[1].all()
        and not _manifold_patches(faces).any()
        and not len(_crossing_pairs(vertices, faces)[0])
    )


def _hidden(windings: WindingNumbers, corners: Float[np.ndarray, "n 3 3"]) -> Bool[np.ndarray, " n"]:
    hidden = windings.above(beside(corners, 1), SOLID_IN_FRONT)
    if hidden.any():  # Of most meshes no face is, and what is behind need not be asked.
        hidden[hidden] = windings.above(beside(corners[hidden], -1), 0.5)
    return hidden


def _scattered(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Small triangles all over a surface, in the planes of its faces."""
    generator = np.random.default_rng(0)
    total = np.cumsum(doubled_areas(vertices, faces))
    face = np.searchsorted(total, generator.random(_POINTS_ASKED) * total[-1], "right").clip(max=len(faces) - 1)
    corners = vertices[faces[face]]
    at = np.einsum("nk,nkd->nd", generator.dirichlet(np.ones(3), _POINTS_ASKED), corners)
    return at[:, None] + 1e-3 * (corners - corners.mean(axis=1, keepdims=True))


def _doubled_areas(corners: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, " n"]:
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)


def _crossing_pairs(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Tuple[Int[np.ndarray, "p 2"], Bool[np.ndarray, " p"]]:
    """Pairs of faces that meet other than in vertices and edges that they share, and which of these are coplanar."""
    from igl.predicates import find_self_intersections

    _, pairs, coplanar = find_self_intersections(vertices, faces)
    # It passes over those that share an edge: in one plane and on the same side of it they overlap.
    edges = mesh_edges(faces, len(vertices))
    edge = np.repeat(np.arange(len(edges.counts)), edges.counts)
    found = []
    for apart in range(1, edges.counts.max()):
        same = np.flatnonzero(edge[apart:] == edge[:-apart])
        for first in range(0, len(same), _BATCH):
            part = same[first : first + _BATCH]
            found.append(_folded(vertices, faces, edges.halfedges[part], edges.halfedges[part + apart]))
    folds = np.concatenate([np.empty((0, 2), np.int64), *found])
    return (
        np.concatenate([np.asarray(pairs, np.int64).reshape(-1, 2), folds]),
        np.append(np.asarray(coplanar, bool).ravel(), np.ones(len(folds), bool)),
    )


def _folded(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    one: Int[np.ndarray, " n"],
    other: Int[np.ndarray, " n"],
) -> Int[np.ndarray, "p 2"]:
    """Pairs of the faces of half-edges side by side that lie in one plane and on the same side of the edge."""
    (side, face), (_, partner) = np.divmod(one, len(faces)), np.divmod(other, len(faces))
    start, end = vertices[faces[face, side]], vertices[faces[face, (side + 1) % 3]]
    along = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True)
    # The directions from the edge, in which the faces lie.
    tips = (vertices[faces[f, (h // len(faces) + 2) % 3]] - start for f, h in ((face, one), (partner, other)))
    a, b = (tip - np.einsum("ni,ni->n", tip, along)[:, None] * along for tip in tips)
    folded = np.linalg.norm(np.cross(a, b), axis=1) < 1e-9 * np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    folded &= np.einsum("ni,ni->n", a, b) > 0
    return np.stack([face, partner], axis=1)[folded]


def _hidden_patches(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    patch: Int[np.ndarray, " f"],
    windings: WindingNumbers,
) -> Bool[np.ndarray, " f"]:
    """Faces that nothing crosses, patch by patch: all of one are hidden or none is. Its largest faces tell, by area, as
    a single one may lie across a hole, where winding numbers are a guess."""
    if not len(faces):
        return np.zeros(0, bool)
    area = doubled_areas(vertices, faces)
    order = np.lexsort((-area, patch))
    _, first, of = np.unique(patch[order], return_index=True, return_inverse=True)
    asked = order[np.arange(len(order)) - first[of] < FACES_ASKED]
    hidden = np.where(_hidden(windings, vertices[faces[asked]]), area[asked], -area[asked])
    return (np.bincount(patch[asked], hidden) > 0)[patch]


def _manifold_patches(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, " f"]:
    """Numbers the patches of faces that edges of two faces connect."""
    import igl

    if not len(faces):
        return np.zeros(0, np.int64)
    return np.asarray(igl.extract_manifold_patches(np.ascontiguousarray(faces))[1], np.int64)


def _cut(
    corners: Float[np.ndarray, "f 3 3"], pairs: Int[np.ndarray, "p 2"], coplanar: Bool[np.ndarray, " p"]
) -> Tuple[Float[np.ndarray, "n 3 3"], Int[np.ndarray, " n"]]:
    """The faces that cross others, cut into triangles that cross none, and which face each is of."""
    cutter, point, normal, start, end = _cuts(corners, pairs, coplanar)
    crossing, first, number = np.unique(cutter, return_index=True, return_counts=True)
    pieces, of = corners[crossing], np.arange(len(crossing))
    done, done_of = [], []
    for turn in range(number.max(initial=0)):
        # One cut for each face that has as many.
        ready = number[of] <= turn
        done.append(pieces[ready])
        done_of.append(of[ready])
        pieces, of = pieces[~ready], of[~ready]
        cut = first[of] + turn
        height = np.einsum("nkd,nd->nk", pieces - point[cut, None], normal[cut])
        height[np.abs(height) < _FLAT] = 0.0
        met = np.flatnonzero((height.min(axis=1) < 0) & (height.max(axis=1) > 0))
        met = met[_overlap(*_across(pieces[met], height[met]), start[cut[met]], end[cut[met]])]
        parts = _split(pieces[met], height[met]).reshape(-1, 3, 3)
        # Empty where a corner lies in the plane.
        filled = _doubled_areas(parts) > _FLAT**2
        pieces = np.concatenate([np.delete(pieces, met, axis=0), parts[filled]])
        of = np.concatenate([np.delete(of, met), np.repeat(of[met], 3)[filled]])
    return np.concatenate([*done, pieces]), crossing[np.concatenate([*done_of, of])]


def _cuts(
    corners: Float[np.ndarray, "f 3 3"], pairs: Int[np.ndarray, "p 2"], coplanar: Bool[np.ndarray, " p"]
) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each face that is cut, in order of the faces: the face, a point and the unit normal of the plane that cuts
    it, and the ends of the cut.

    That is where another face passes through; of one in the same plane, its three sides, and planes that stand on them.
    """
    cut, by = np.concatenate([pairs, pairs[:, ::-1]]).T
    flat = np.tile(coplanar, 2)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), np.finfo(float).tiny)
    height = np.einsum("nkd,nd->nk", corners[by[~flat]] - corners[cut[~flat], :1], across[cut[~flat]])
    height[np.abs(height) < _FLAT] = 0.0
    start, end = _across(corners[by[~flat]], height)
    beside = (height.min(axis=1) > 0) | (height.max(axis=1) < 0)
    end[beside] = start[beside]
    along = np.roll(corners, -1, axis=1) - corners
    upright = np.cross(along[by[flat]], across[by[flat]][:, None]).reshape(-1, 3)
    upright /= np.maximum(np.linalg.norm(upright, axis=1, keepdims=True), np.finfo(float).tiny)
    sides = corners[by[flat]].reshape(-1, 3), np.roll(corners, -1, axis=1)[by[flat]].reshape(-1, 3)
    owner = np.concatenate([cut[~flat], np.repeat(cut[flat], 3)])
    order = np.argsort(owner, kind="stable")
    return (
        owner[order],
        np.concatenate([corners[by[~flat], 0], sides[0]])[order],
        np.concatenate([across[by[~flat]], upright])[order],
        np.concatenate([start, sides[0]])[order],
        np.concatenate([end, sides[1]])[order],
    )


def _across(triangles: Float[np.ndarray, "n 3 3"], height: Float[np.ndarray, "n 3"]) -> Tuple[np.ndarray, np.ndarray]:
    """The two points at which planes that pass through triangles meet their sides, given the corners' heights."""
    first = _split(triangles, height)[:, 0]  # The corner that is alone on its side, and these points.
    return first[:, 1], first[:, 2]


def _overlap(
    p: Float[np.ndarray, "n 3"],
    q: Float[np.ndarray, "n 3"],
    start: Float[np.ndarray, "n 3"],
    end: Float[np.ndarray, "n 3"],
) -> Bool[np.ndarray, " n"]:
    """Whether segments on the same line have more than a point in common."""
    length = np.linalg.norm(q - p, axis=1)
    along = (q - p) / np.maximum(length, np.finfo(float).tiny)[:, None]
    ends = np.stack([np.einsum("nd,nd->n", x - p, along) for x in (start, end)])
    return np.minimum(ends.max(axis=0), length) - np.maximum(ends.min(axis=0), 0.0) > _FLAT


def _split(pieces: Float[np.ndarray, "n 3 3"], height: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3 3"]:
    """Triangles cut by planes, given their corners' heights above them: three triangles each, some perhaps empty."""
    rows = np.arange(len(pieces))
    # The corner alone on its side comes first; corners in the plane are with either.
    alone = np.where((height > 0).sum(axis=1) == 1, height.argmax(axis=1), height.argmin(axis=1))
    a, b, c = (pieces[rows, (alone + i) % 3] for i in range(3))
    ha, hb, hc = (height[rows, (alone + i) % 3][:, None] for i in range(3))
    # Along an edge that is parallel to the plane nothing is cut.
    whole_ab, whole_ac = (hb == 0) | (hb == ha), (hc == 0) | (hc == ha)
    ab = np.where(whole_ab, b, a + ha / np.where(whole_ab, 1, ha - hb) * (b - a))
    ac = np.where(whole_ac, c, a + ha / np.where(whole_ac, 1, ha - hc) * (c - a))
    return np.stack([np.stack(t, axis=1) for t in ((a, ab, ac), (ab, b, c), (ab, c, ac))], axis=1)
