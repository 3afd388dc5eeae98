"""Shapes: surfaces in 3D, known through a mesh or through point samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError
from winner_ns.progress import Report, progress_bar, silent
from winner_ns.signals.mesh_repair import WindingNumbers
from winner_ns.signals.surfels import surfel_areas, surfel_windings

ShapeSource = Literal["mesh", "distances", "oriented-points", "points"]

NEAR_SURFACE = ((0.4, 0.01), (0.4, 0.05))
"""(share, sigma) of the training samples that are surface points moved by normal noise of that sigma per axis, in unit
cube units; the others are uniform in the cube."""
SURFACE_DISTANCE = 0.02
"""Signed distance samples this close to the surface tell where it is."""

# Queries that are answered in one go where temporary arrays are several times their size.
_BATCH = 2**16
# Faces from which on building search trees takes seconds.
_MANY_FACES = 2**19


@dataclass
class Shells:
    """Closed surfaces whose winding number tells where a solid is, though parts of them lie inside it."""

    vertices: Float[np.ndarray, "v 3"]
    """Unit cube, float64."""
    faces: Int[np.ndarray, "f 3"]


@dataclass
class ShapeSignal:
    """A shape in the unit cube [-1, 1]^3 (the surface fits into [-0.9, 0.9]^3) and the way back.

    original = unit * scale + center, held in float64, so that a mesh far from the origin loses nothing.
    Distances are negative inside and in units of the unit cube.
    """

    path: Path
    source: ShapeSource
    center: Float[np.ndarray, "3"]
    """float64, in the file's units."""
    scale: float
    """Length of one unit of the unit cube, in the file's units."""
    vertices: Optional[Float[np.ndarray, "v 3"]] = None
    """Unit cube, float64; of a mesh."""
    faces: Optional[Int[np.ndarray, "f 3"]] = None
    points: Optional[Float[np.ndarray, "p 3"]] = None
    """Unit cube, float64; of point samples."""
    distances: Optional[Float[np.ndarray, " p"]] = None
    """Signed distances at `points`, in unit-cube units; where source is "distances"."""
    normals: Optional[Float[np.ndarray, "p 3"]] = None
    """Unit normals at `points`, pointing outward; where source is "oriented-points", and estimated where "points"."""
    watertight: bool = True
    """Of a mesh: every edge belongs to exactly two faces."""
    sign_rule: str = ""
    """How inside and outside are told apart, in words for the user."""
    shells: Optional[Shells] = None
    """Of a mesh that runs through itself: what its vertices and faces, then only the outer surface, were cut from."""
    metadata: Dict[str, Any] = field(default_factory=dict)
    warnings: List[str] = field(default_factory=list)
    kind: Literal["shape"] = "shape"
    in_memory: bool = False
    """Whether it was no file, so that `path` is a name and nothing else."""

    @property
    def dimensions(self) -> int:
        return 3

    @property
    def channels(self) -> int:
        """Values at a point: the distance."""
        return 1

    def in_words(self) -> str:
        """How much is known of it."""
        what = "points" if self.faces is None else "faces"
        return f"{self.source}, {self.metadata.get(what, 0)} {what}"

    def signed_distance(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Signed distance (float64) to the surface at any points of the unit cube (not for source "distances").

        The sign is that of the generalised winding number (Jacobson et al. 2013, evaluated as in Barill et al. 2018),
        inside above 1/2, in single precision: within 1e-7 of the surface it is left to chance. Of points, that of
        small triangles which stand for them.

        The distance to a mesh is exact; to points it is that to the tangent plane of the nearest one (Hoppe et al.
        1992), or to that point itself where the perpendicular's foot is beyond its neighbours.
        """
        return self._signed_distance(points, silent)

    def _signed_distance(self, points: Float[np.ndarray, "n 3"], report: Report) -> Float[np.ndarray, " n"]:
        if self.source == "distances":
            raise ValueError("a shape given by signed distances is known at its own points only: use sample()")
        queries = np.ascontiguousarray(points, dtype=np.float64)
        distance = np.empty(len(queries))
        # Neighbours walk the same branches of the trees: up to four times as fast as in random order.
        order = _along_a_curve(queries)
        for start in range(0, len(queries), _BATCH):
            chosen = order[start : start + _BATCH]
            batch = queries[chosen]
            if self.source == "mesh":
                away = np.sqrt(self._mesh_tree.squared_distance(*self._mesh, batch)[0])
            else:
                away = self._tangent_plane_distance(batch)
            distance[chosen] = np.where(self._windings.winding_number(batch) > 0.5, -away, away)
            report(f"measuring distances to {self.path.name}", start + len(chosen), len(queries))
        return distance

    def surface_normals(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Outward unit normals (float64) of the surface where it is nearest to points of the unit cube (not for source
        "distances"). Of a mesh: of the nearest face; of points: of the nearest one."""
        if self.source == "mesh":
            queries = np.ascontiguousarray(points, dtype=np.float64)
            face = self._mesh_tree.squared_distance(*self._mesh, queries)[1]
            return self._face_normals(np.asarray(face, np.int64))
        if self.normals is not None:
            return self.normals[self._point_tree.query(points, workers=-1)[1]]
        raise ValueError("a shape given by signed distances is known at its own points only")

    def sample(self, count: int, seed: int) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
        """Training samples: points in [-1, 1]^3 and their signed distances, float32, the same for the same seed.

        In random order, 40 % each around the surface with sigma 0.01 and 0.05 (`NEAR_SURFACE`), clipped to the cube,
        and 20 % uniform in the cube. Source "distances" has the given points drawn, each once before any comes twice.
        """
        generator = np.random.default_rng(seed)
        if self.source == "distances":
            points, distances = self._measured
            rounds = -(-count // len(points)) if len(points) else 0
            chosen = np.concatenate([generator.permutation(len(points)) for _ in range(rounds)])[:count]
            return points[chosen].astype(np.float32), distances[chosen].astype(np.float32)
        sigma = np.repeat([sigma for _, sigma in NEAR_SURFACE], [round(share * count) for share, _ in NEAR_SURFACE])
        surface, _ = self._surface_points(len(sigma), generator)
        near = surface + sigma[:, None] * generator.standard_normal(surface.shape)
        uniform = generator.uniform(-1.0, 1.0, (count - len(near), 3))
        points = generator.permutation(np.concatenate([np.clip(near, -1.0, 1.0), uniform]))
        # Rounded before measuring, so that the distances are those of the points that are handed out.
        points = points.astype(np.float32)
        many = self.faces is not None and len(self.faces) > _MANY_FACES
        with progress_bar(long=many) as report:
            report(f"building a search tree of {self.path.name}", 0, 1)
            if self.source == "mesh":
                _ = self._mesh_tree, self._windings
            return points, self._signed_distance(points, report).astype(np.float32)

    def sample_surface(self, count: int, seed: int) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Points on the surface and their outward unit normals, float32, the same for the same seed.

        Of a mesh: uniform in area, with face normals. Of points: drawn from them. Of distances: the samples
        closest to the surface, moved onto it along the gradient that their neighbours' distances show.

        Raises:
            SignalError: source "distances" has too few samples near the surface.
        """
        points, normals = self._surface_points(count, np.random.default_rng(seed))
        return points.astype(np.float32), normals.astype(np.float32)

    def enclosed_volume(self) -> float:
        """Signed volume in unit-cube units (divergence theorem), negative where the surface is inside out.

        Of an open mesh, as if closed by a cone to the origin. Of points, an estimate: each stands for a quarter of the
        disc that reaches its fourth neighbour. Not for source "distances".
        """
        if self.source == "mesh":
            vertices, faces = self._mesh
            volume = 0.0
            for start in range(0, len(faces), _BATCH):
                a, b, c = np.moveaxis(vertices[faces[start : start + _BATCH]], 1, 0)
                volume += float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6
            return volume
        points, normals = self._oriented
        return float(np.einsum("p,pi,pi->", surfel_areas(self._spacing), points, normals)) / 3

    def describe(self) -> Dict[str, Any]:
        """What evaluating and exporting need once the shape is gone, as plain JSON."""
        return {
            "source": self.source,
            "center": [float(x) for x in self.center],
            "scale": float(self.scale),
            "watertight": bool(self.watertight),
            "sign_rule": self.sign_rule,
            **self.metadata,
        }

    def __getstate__(self) -> Dict[str, Any]:
        # Search trees cannot be pickled, and are rebuilt in a moment.
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @property
    def _mesh(self) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
        """What a shape of source "mesh" has."""
        assert self.vertices is not None and self.faces is not None
        return self.vertices, self.faces

    @property
    def _oriented(self) -> Tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
        """What a shape of source "oriented-points" or "points" has: points and their normals."""
        assert self.points is not None and self.normals is not None
        return self.points, self.normals

    @property
    def _measured(self) -> Tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, " p"]]:
        """What a shape of source "distances" has: points and their distances."""
        assert self.points is not None and self.distances is not None
        return self.points, self.distances

    @cached_property
    def _mesh_tree(self):
        import igl

        tree = igl.AABB()
        tree.init(*self._mesh)
        return tree

    @cached_property
    def _windings(self) -> WindingNumbers:
        if self.source != "mesh":
            return surfel_windings(*self._oriented, self._spacing)
        if self.shells is not None:
            return WindingNumbers(self.shells.vertices, self.shells.faces)
        return WindingNumbers(*self._mesh)

    @cached_property
    def _area_sums(self) -> Float[np.ndarray, " f"]:
        """Of a mesh: the running sum of the faces' (doubled) areas."""
        vertices, faces = self._mesh
        areas = np.empty(len(faces))
        for start in range(0, len(areas), _BATCH):
            a, b, c = np.moveaxis(vertices[faces[start : start + _BATCH]], 1, 0)
            areas[start : start + _BATCH] = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        return np.cumsum(areas)

    def _face_normals(self, chosen: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        vertices, faces = self._mesh
        a, b, c = np.moveaxis(vertices[faces[chosen]], 1, 0)
        across = np.cross(b - a, c - a)
        return across / np.linalg.norm(across, axis=1, keepdims=True)

    @cached_property
    def _point_tree(self):
        from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

        return cKDTree(self.points)

    @cached_property
    def _spacing(self) -> Float[np.ndarray, " p"]:
        """Distance of each point to its fourth neighbour."""
        return self._point_tree.query(self.points, k=[5], workers=-1)[0][:, 0]

    @cached_property
    def _zero_crossings(self) -> Tuple[np.ndarray, np.ndarray]:
        """Surface points and normals that signed distance samples imply."""
        close = np.flatnonzero(np.abs(self._measured[1]) <= SURFACE_DISTANCE)
        parts = [self._projected(close[i : i + _BATCH]) for i in range(0, len(close), _BATCH)]
        points, normals = (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else (close, close)
        if len(points) < 16:
            raise SignalError(
                self.path,
                f"only {len(points)} samples are within {SURFACE_DISTANCE * self.scale:g} of the surface",
                "add samples near the surface, or give a mesh",
            )
        return points, normals

    def _projected(self, chosen: Int[np.ndarray, " n"]) -> Tuple[np.ndarray, np.ndarray]:
        """The feet on the surface of these samples, and the normals there, from the distance's local gradient."""
        all_points, all_distances = self._measured
        points, distances = all_points[chosen], all_distances[chosen]
        neighbours = self._point_tree.query(points, k=min(13, len(all_points)), workers=-1)[1]
        offsets = all_points[neighbours] - points[:, None]
        changes = all_distances[neighbours] - distances[:, None]
        # Least squares per point; the ridge decides where the neighbours lie in a plane.
        moments = np.einsum("nki,nkj->nij", offsets, offsets)
        moments += (1e-9 * np.trace(moments, axis1=1, axis2=2) + 1e-30)[:, None, None] * np.eye(3)
        gradient = np.linalg.solve(moments, np.einsum("nki,nk->ni", offsets, changes)[..., None])[..., 0]
        length = np.linalg.norm(gradient, axis=1, keepdims=True)
        # A distance's gradient has length 1: elsewhere the neighbours are too far apart to tell.
        sound = np.abs(length[:, 0] - 1.0) < 0.5
        normals = gradient[sound] / length[sound]
        return points[sound] - distances[sound, None] * normals, normals

    def _surface_points(self, count: int, generator: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
        if self.source == "mesh":
            areas = self._area_sums
            # The last face also takes what rounding leaves above its sum.
            face = np.minimum(np.searchsorted(areas, generator.random(count) * areas[-1], "right"), len(areas) - 1)
            # Uniform barycentric coordinates (Osada et al. 2002, eq. 1).
            root, along = np.sqrt(generator.random((count, 1))), generator.random((count, 1))
            vertices, faces = self._mesh
            a, b, c = np.moveaxis(vertices[faces[face]], 1, 0)
            return (1 - root) * a + root * (1 - along) * b + root * along * c, self._face_normals(face)
        points, normals = self._zero_crossings if self.source == "distances" else self._oriented
        chosen = generator.choice(len(points), count, replace=count > len(points))
        return points[chosen], normals[chosen]

    def _tangent_plane_distance(self, queries: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        distance, nearest = self._point_tree.query(queries, workers=-1)
        points, normals = self._oriented
        height = np.einsum("nd,nd->n", queries - points[nearest], normals[nearest])
        beside = np.sqrt(np.maximum(distance**2 - height**2, 0.0))
        return np.where(beside <= 2 * self._spacing[nearest], np.abs(height), distance)


def _along_a_curve(points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The order of points of the unit cube along a Z-order curve (Morton 1966) through 1024^3 cells."""
    cell = np.clip((points.T + 1.0) * 512, 0, 1023).astype(np.uint32)
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        # Each bit moves to thrice its place.
        cell = (cell | (cell << np.uint32(shift))) & np.uint32(mask)
    return np.argsort(cell[0] | (cell[1] << np.uint32(1)) | (cell[2] << np.uint32(2)), kind="stable")
