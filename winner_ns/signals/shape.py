"""Shapes: surfaces in 3D, known through a mesh or through point samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Literal, Mapping, Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int

from winner_ns.errors import SignalError, counted
from winner_ns.mapped import give_back_memory
from winner_ns.progress import Report, progress_bar, silent
from winner_ns.shape_losses import SHAPE_LOSSES
from winner_ns.signals.curve_order import along_a_curve
from winner_ns.signals.distance_samples import Cuts, DistanceSamples
from winner_ns.signals.mesh_repair import WindingNumbers, doubled_areas
from winner_ns.signals.surfels import surfel_areas, surfel_windings

if TYPE_CHECKING:
    from winner_ns.signals.surface_colours import SurfaceColours

ShapeSource = Literal["mesh", "distances", "oriented-points", "points"]

NearSurface = Tuple[Tuple[float, float], ...]
"""(share, sigma) of the training samples that are surface points moved by normal noise of that sigma per axis, in unit
cube units; the others are uniform in the cube."""
_EXACT: NearSurface = ((0.4, 0.003), (0.25, 0.01), (0.15, 0.05))
_ESTIMATED: NearSurface = ((0.2, 0.003), (0.2, 0.02))
NEAR_SURFACE: Dict[ShapeSource, NearSurface] = {
    "mesh": _EXACT,
    "oriented-points": _EXACT,
    "points": _EXACT,
    "distances": _ESTIMATED,
}
"""By what a shape is known through (docs/shapes.md)."""
_EARLIER: NearSurface = ((0.4, 0.01), (0.4, 0.05))
EARLIER_NEAR_SURFACE: Dict[ShapeSource, NearSurface] = {
    "mesh": _EARLIER,
    "oriented-points": _EARLIER,
    "points": _EARLIER,
    "distances": ((0.4, 0.02),),
}
"""Those of runs that do not say."""
SURFACE_DISTANCE = 0.02
"""Signed distance samples this close to the surface tell where it is."""
GIVEN_SHARE = 0.4
"""Of the training samples of source "distances": given ones."""

# Queries that are answered in one go where temporary arrays are several times their size.
_BATCH = 2**16
# Faces from which on building search trees takes seconds.
_MANY_FACES = 2**19
# Faces from which on two search trees, of 200 bytes a face each, are more than stays in memory.
_LARGE_TREES = 2**21


def near_surface_of_run(signal: Mapping[str, Any], target: Mapping[str, Any]) -> Optional[NearSurface]:
    """How a run's training points were spread around the surface; None: as they are spread today, or it is no shape.

    Args:
        signal, target: facts of the run's description.
    """
    source = signal.get("source")
    if source not in NEAR_SURFACE:
        return None
    said = target.get("near_surface")
    spread = EARLIER_NEAR_SURFACE[source] if said is None else tuple((share, sigma) for share, sigma in said)
    return None if spread == usual_near_surface(source, target.get("loss", "distance")) else spread


def usual_near_surface(source: ShapeSource, loss: str) -> NearSurface:
    """How training points are spread where nothing else is asked for: nearer to the surface where distances are
    trained; signs say nothing of it so close by, and leave more specks elsewhere."""
    return (NEAR_SURFACE if SHAPE_LOSSES[loss].tells_distances else EARLIER_NEAR_SURFACE)[source]


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
    cuts: Cuts = (None, None)
    """Where these were cut off, in unit-cube units."""
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
    colours: Optional[SurfaceColours] = None
    """Those of a mesh that was no file; a file's are read when they are wanted."""

    @property
    def dimensions(self) -> int:
        return 3

    @property
    def channels(self) -> int:
        """Values at a point: the distance."""
        return 1

    def in_words(self) -> str:
        """How much is known of it."""
        what = "point" if self.faces is None else "face"
        return f"{self.source}, {counted(self.metadata.get(f'{what}s', 0), what)}"

    def signed_distance(self, points: Float[np.ndarray, "n 3"], keep_trees: bool = True) -> Float[np.ndarray, " n"]:
        """Signed distance (float64) to the surface at any points of the unit cube.

        The sign is that of the generalised winding number (Jacobson et al. 2013, evaluated as in Barill et al. 2018),
        inside above 1/2, in single precision: within 1e-7 of the surface it is left to chance. Of points, that of
        small triangles which stand for them.

        The distance to a mesh is exact; to points it is that to the tangent plane of the nearest one (Hoppe et al.
        1992), or to that point itself where the perpendicular's foot is beyond its neighbours.

        Of source "distances" it is an estimate, in the middle of what the samples allow (`DistanceSamples.estimate`).

        Args:
            points: in the unit cube.
            keep_trees: whether the search trees for distances and for signs both stay in memory for the next call.
                Without, of meshes of more than _LARGE_TREES faces one is, which suits calls with very many points.
        """
        return self._signed_distance(points, silent, keep_trees)

    def _signed_distance(
        self, points: Float[np.ndarray, "n 3"], report: Report, keep_trees: bool
    ) -> Float[np.ndarray, " n"]:
        if self.source == "distances":
            return self._distance_samples.estimate(points)
        away, inside = np.empty(len(points)), np.empty(len(points), bool)
        self._measure(points, {"_mesh_tree": away, "_windings": inside}, report, keep_trees)
        return np.where(inside, -away, away)

    def distance(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The absolute value of `signed_distance`, in half of its time."""
        if self.source == "distances":
            return np.abs(self._distance_samples.estimate(points))
        away = np.empty(len(points))
        self._measure(points, {"_mesh_tree": away}, silent, keep_trees=True)
        return away

    def inside(self, points: Float[np.ndarray, "n 3"], keep_trees: bool = True) -> Bool[np.ndarray, " n"]:
        """Where `signed_distance` is negative, in a fraction of its time; arguments as for that."""
        if self.source == "distances":
            return self._distance_samples.estimate(points) < 0
        inside = np.empty(len(points), bool)
        self._measure(points, {"_windings": inside}, silent, keep_trees)
        return inside

    def _measure(
        self, points: Float[np.ndarray, "n 3"], results: Dict[str, np.ndarray], report: Report, keep_trees: bool
    ) -> None:
        """Fills arrays with distances ("_mesh_tree") and with what is inside ("_windings"), by the trees of these
        names."""
        queries = np.ascontiguousarray(points, dtype=np.float64)
        order = along_a_curve(queries)
        measures = {"_mesh_tree": self._unsigned_distance, "_windings": self._is_inside}
        large = not keep_trees and self.faces is not None and len(self.faces) > _LARGE_TREES
        done = 0
        # What is there already is asked first, and the other tree never together with it.
        for tree in sorted(results, key=lambda each: large and each not in vars(self)):
            if large:
                self._let_go([other for other in measures if other != tree])
            for start in range(0, len(queries), _BATCH):
                chosen = order[start : start + _BATCH]
                results[tree][chosen] = measures[tree](queries[chosen])
                done += len(chosen)
                report(f"measuring distances to {self.path.name}", done, len(results) * len(queries))

    def _unsigned_distance(self, queries: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        if self.source == "mesh":
            return np.sqrt(self._mesh_tree.squared_distance(*self._mesh, queries)[0])
        return self._tangent_plane_distance(queries)

    def _is_inside(self, queries: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        return self._windings.above(queries, 0.5)

    def _let_go(self, trees: List[str]) -> None:
        """Frees search trees, if they are there."""
        if any([vars(self).pop(tree, None) is not None for tree in trees]):
            give_back_memory()

    def proved_signs(self, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """At which points of the unit cube it is certain what is inside: of source "distances", where the bounds that
        follow from the samples are both positive or both negative; else everywhere."""
        if self.source != "distances":
            return np.ones(len(points), bool)
        known = self._distance_samples
        if not known.exact.any():
            return np.zeros(len(points), bool)  # Signs alone prove nothing.
        lower, upper = known.bounds(points)
        return np.sign(lower) * np.sign(upper) > 0

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

    @property
    def near_surface(self) -> NearSurface:
        """How training points are spread around its surface, where nothing else is asked for."""
        return NEAR_SURFACE[self.source]

    def sample(
        self, count: int, seed: int, near_surface: Optional[NearSurface] = None
    ) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
        """Training samples: points in [-1, 1]^3 and their signed distances, float32, the same for the same seed.

        In random order: points around the surface, clipped to the cube, and points that are uniform in the cube.
        Of source "distances", 40 % (`GIVEN_SHARE`) are the given ones in the cube, each once before any comes twice; at
        the other points, and where given ones were cut off, the distance is estimated.

        Args:
            count: of all of them.
            seed: of all that is random.
            near_surface: how those around the surface are spread; None: `ShapeSignal.near_surface`.
        """
        generator = np.random.default_rng(seed)
        near_surface = self.near_surface if near_surface is None else near_surface
        sigma = np.repeat([sigma for _, sigma in near_surface], [round(share * count) for share, _ in near_surface])
        if self.source == "distances":
            return self._sample_of_distances(count, sigma, generator)
        surface, _ = self._surface_places(len(sigma), generator)
        near = surface + sigma[:, None] * generator.standard_normal(surface.shape)
        uniform = generator.uniform(-1.0, 1.0, (count - len(near), 3))
        points = generator.permutation(np.concatenate([np.clip(near, -1.0, 1.0), uniform]))
        # Rounded before measuring, so that the distances are those of the points that are handed out.
        points = points.astype(np.float32)
        many = self.faces is not None and len(self.faces) > _MANY_FACES
        with progress_bar(long=many) as report:
            report(f"building a search tree of {self.path.name}", 0, 1)
            return points, self._signed_distance(points, report, keep_trees=False).astype(np.float32)

    def _sample_of_distances(
        self, count: int, sigma: Float[np.ndarray, " b"], generator: np.random.Generator
    ) -> Tuple[np.ndarray, np.ndarray]:
        known = self._distance_samples
        given = round(count * GIVEN_SHARE) if len(known.in_cube) else 0
        rounds = -(-given // max(len(known.in_cube), 1))
        chosen = [generator.permutation(known.in_cube) for _ in range(rounds)]
        chosen = np.concatenate([known.in_cube[:0], *chosen])[:given]
        try:
            beside, _ = self._surface_places(len(sigma), generator)
        except SignalError:  # The samples do not say where the surface is.
            beside, sigma = np.empty((0, 3)), sigma[:0]
        beside = (beside + sigma[:, None] * generator.standard_normal(beside.shape)).clip(-1.0, 1.0)
        uniform = generator.uniform(-1.0, 1.0, (count - given - len(beside), 3))
        # Rounded before measuring, as others are.
        estimated = np.concatenate([beside, uniform]).astype(np.float32)
        points = np.concatenate([known.points[chosen].astype(np.float32), estimated])
        distances = np.concatenate([known.values[chosen], known.estimate(estimated)]).astype(np.float32)
        order = generator.permutation(count)
        return points[order], distances[order]

    def sample_surface(self, count: int, seed: int) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Points on the surface and their outward unit normals, float32, the same for the same seed.

        Of a mesh: uniform in area, with face normals. Of points: drawn from them. Of distances: the samples
        closest to the surface, moved onto it along the gradient that their neighbours' distances show.

        Raises:
            SignalError: source "distances" has too few samples near the surface.
        """
        points, owners = self._surface_places(count, np.random.default_rng(seed))
        return points.astype(np.float32), self._normals_of(owners).astype(np.float32)

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

    @cached_property
    def _distance_samples(self) -> DistanceSamples:
        """What a shape of source "distances" has."""
        if self.points is None or self.distances is None:
            raise ValueError(f"a shape of source {self.source!r} has no samples of its distance")
        return DistanceSamples(self.points, self.distances, self.cuts)

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
        return np.cumsum(doubled_areas(*self._mesh))

    def _face_normals(self, chosen: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        vertices, faces = self._mesh
        if len(chosen) > len(faces):
            return self._face_normals(np.arange(len(faces)))[chosen]
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
        points, normals = self._distance_samples.zero_crossings(SURFACE_DISTANCE)
        if len(points) < 16:
            raise SignalError(
                self.path,
                f"has only {counted(len(points), 'sample')} within {SURFACE_DISTANCE * self.scale:g} of the surface",
                "add samples near the surface, or give a mesh",
            )
        return points, normals

    def _surface_places(
        self, count: int, generator: np.random.Generator
    ) -> Tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, " n"]]:
        """Random points on the surface, and the numbers of the faces, or of the known points, that they belong to."""
        if self.source == "mesh":
            areas = self._area_sums
            # The last face also takes what rounding leaves above its sum.
            face = np.minimum(np.searchsorted(areas, generator.random(count) * areas[-1], "right"), len(areas) - 1)
            # Uniform barycentric coordinates (Osada et al. 2002, eq. 1).
            root, along = np.sqrt(generator.random((count, 1))), generator.random((count, 1))
            vertices, faces = self._mesh
            a, b, c = np.moveaxis(vertices[faces[face]], 1, 0)
            return (1 - root) * a + root * (1 - along) * b + root * along * c, face
        points, _ = self._known_points
        chosen = generator.choice(len(points), count, replace=count > len(points))
        return points[chosen], chosen

    def _normals_of(self, owners: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Of the faces, or of the known points, with these numbers."""
        return self._face_normals(owners) if self.source == "mesh" else self._known_points[1][owners]

    @property
    def _known_points(self) -> Tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
        """Points on the surface, and their normals, of what is no mesh."""
        return self._zero_crossings if self.source == "distances" else self._oriented

    def _tangent_plane_distance(self, queries: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        distance, nearest = self._point_tree.query(queries, workers=-1)
        points, normals = self._oriented
        height = np.einsum("nd,nd->n", queries - points[nearest], normals[nearest])
        beside = np.sqrt(np.maximum(distance**2 - height**2, 0.0))
        return np.where(beside <= 2 * self._spacing[nearest], np.abs(height), distance)
