"""Surfaces that can be compared: triangles or points with normals, read as they are, and what is nearest to a point."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError
from winner_ns.signals.load import load_signal
from winner_ns.signals.mesh_file import mesh_type, read_mesh_file
from winner_ns.signals.mesh_repair import WindingNumbers

LARGEST_COORDINATE = 1e30
"""Fourth powers of distances, which standard errors of squared distances need, stay finite below it."""
_BLOCK = 2**18


class Surface:
    """A surface that others are compared with: samples of it, and the nearest place on it to any point.

    Args:
        points: area-uniform samples of a mesh; without triangles, all the points that are known.
        normals: their unit normals.
        vertices, faces: the triangles, where there are any; otherwise the points themselves stand for the surface, and
            distances to it have their spacing as a floor.
    """

    def __init__(
        self,
        points: Float[np.ndarray, "n 3"],
        normals: Float[np.ndarray, "n 3"],
        vertices: Optional[Float[np.ndarray, "v 3"]] = None,
        faces: Optional[Int[np.ndarray, "f 3"]] = None,
    ) -> None:
        self.points = np.ascontiguousarray(points, dtype=np.float64)
        self.normals = np.asarray(normals, dtype=np.float64)
        self.vertices = self.faces = None
        if vertices is not None and faces is not None:
            self.vertices = np.ascontiguousarray(vertices, dtype=np.float64)
            self.faces = np.ascontiguousarray(faces, dtype=np.int64)

    @classmethod
    def of_mesh(
        cls, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], samples: int, seed: int
    ) -> Surface:
        """A mesh with area-uniform samples, the same for the same seed. It has a face with an area."""
        import trimesh

        corners = vertices[faces]
        drawn = trimesh.sample.sample_surface(
            trimesh.Trimesh(vertices, faces, process=False), samples, seed=np.random.default_rng(seed)
        )
        points, face = drawn[0], drawn[1]
        # Neighbours walk the same branches of a search tree: twice as fast as in random order.
        order = np.argsort(face, kind="stable")
        return cls(np.asarray(points)[order], _unit_normals(corners)[face[order]], vertices, faces)

    @cached_property
    def corners(self) -> Float[np.ndarray, "c 3"]:
        """The vertices of all triangles that have an area; without triangles, the points."""
        return self.points if self.faces is None else self._triangles[0][np.unique(self._solid)]

    @property
    def box(self) -> Tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Lowest and highest coordinates."""
        return self.corners.min(axis=0), self.corners.max(axis=0)

    @property
    def diagonal(self) -> float:
        """Length of the bounding box's diagonal."""
        low, high = self.box
        return float(np.linalg.norm(high - low))

    def nearest(self, points: Float[np.ndarray, "m 3"]) -> Tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m 3"]]:
        """Distance to the surface, exact to rounding where there are triangles, and its unit normal at the nearest
        place."""
        distance, normals = np.empty(len(points)), np.empty((len(points), 3))
        for start in range(0, len(points), _BLOCK):
            part = slice(start, start + _BLOCK)
            distance[part], normals[part] = self._nearest(np.ascontiguousarray(points[part], dtype=np.float64))
        return distance, normals

    def winding_number(self, points: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, " m"]:
        """Generalised winding number of the triangles (Jacobson et al. 2013, evaluated as in Barill et al. 2018): 1
        within a closed mesh with outward faces, 0 outside; to about 0.01, in single precision around the origin."""
        return self._windings.winding_number(np.ascontiguousarray(points, dtype=np.float64))

    def _nearest(self, points: Float[np.ndarray, "m 3"]) -> Tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m 3"]]:
        if self.faces is None:
            distance, index = self._tree.query(points, workers=-1)
            return distance, self.normals[index]
        squared, face, _ = self._tree.squared_distance(self._triangles[0], self._solid, points)
        return np.sqrt(squared), self._normals[face]

    @property
    def _triangles(self) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
        """Vertices and faces, of a surface that has them."""
        assert self.vertices is not None and self.faces is not None
        return self.vertices, self.faces

    @cached_property
    def _solid(self) -> Int[np.ndarray, "f 3"]:
        """The faces that have an area, and so a normal."""
        vertices, faces = self._triangles
        return np.ascontiguousarray(faces[_unit_normals(vertices[faces]).any(axis=1)])

    @cached_property
    def _normals(self) -> Float[np.ndarray, "f 3"]:
        return _unit_normals(self._triangles[0][self._solid])

    @cached_property
    def _tree(self) -> Any:
        if self.faces is None:
            from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

            return cKDTree(self.points)
        import igl

        tree = igl.AABB()
        tree.init(self._triangles[0], self._solid)
        return tree

    @cached_property
    def _windings(self) -> WindingNumbers:
        return WindingNumbers(self._triangles[0], self._solid)


@dataclass
class SurfaceFile:
    """What a file says of a surface, unrepaired: no face is turned around or closed."""

    path: Path
    vertices: Float[np.ndarray, "v 3"]
    """float64, in the file's units; of a mesh, vertices with equal coordinates count as one."""
    faces: Optional[Int[np.ndarray, "f 3"]] = None
    normals: Optional[Float[np.ndarray, "v 3"]] = None
    """Unit normals, where there are no faces."""
    warnings: List[str] = field(default_factory=list)

    def sampled(self, offset: Float[np.ndarray, "3"], unit: float, samples: int, seed: int) -> Surface:
        """The surface with coordinates (x - offset)/unit; of points without faces, all of them are samples."""
        moved = (self.vertices - offset) / unit
        if self.faces is None:
            assert self.normals is not None
            return Surface(moved, self.normals)
        return Surface.of_mesh(moved, self.faces, samples, seed)

    def describe(self) -> Dict[str, Any]:
        """The surface by itself, as plain JSON; what it does not have, as points have no area, is left out.

        area, and volume by the divergence theorem (in the file's units; negative where the faces point inward) where
        the mesh is watertight and its faces agree which side is out; euler_characteristic V - E + F; genus, the number
        of handles of all components together, where the mesh is moreover a manifold; components, faces that hang
        together by edges; open_edges with one face and branching_edges with more than two.
        """
        facts: Dict[str, Any] = {"path": str(self.path), "vertices": len(self.vertices)}
        if self.faces is None:
            return facts
        import igl

        faces, corners = self.faces, self.vertices[self.faces] - self.vertices.mean(axis=0)
        directed = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
        low, high = directed.min(axis=1), directed.max(axis=1)
        faces_at_edge = np.unique(low * len(self.vertices) + high, return_counts=True)[1]
        watertight = bool((faces_at_edge == 2).all())
        oriented = len(np.unique(directed @ np.array([len(self.vertices), 1]))) == len(directed)
        facts |= {
            "faces": len(faces),
            "watertight": watertight,
            "open_edges": int((faces_at_edge == 1).sum()),
            "branching_edges": int((faces_at_edge > 2).sum()),
            "consistently_oriented": oriented,
            "euler_characteristic": len(self.vertices) - len(faces_at_edge) + len(faces),
            "components": igl.facet_components(faces)[0],
            "area": float(np.linalg.norm(_doubled_areas(corners), axis=1).sum() / 2),
        }
        if watertight and oriented:
            facts["volume"] = float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)
            if np.asarray(igl.is_vertex_manifold(faces)).all():
                facts["genus"] = facts["components"] - facts["euler_characteristic"] // 2
        return facts


def read_surface(path: Path) -> SurfaceFile:
    """Reads a mesh (OBJ, PLY, STL, OFF, GLB, glTF), or points with normals in the formats that shapes are read from.

    Unlike a shape that is fitted, a mesh may be flat, open and inside out: it is judged as it is. Points' normals that
    point inward are turned around, which is said in `warnings`.

    Raises:
        SignalError: no such file, another kind of file, a damaged one, one without a surface.
    """
    # What is wrong with a file that is not there, `load_signal` says.
    file_type = mesh_type(path) if path.is_file() else None
    if file_type:
        mesh = read_mesh_file(path, file_type)
        if len(mesh.faces):
            return SurfaceFile(path, *_checked(path, mesh.vertices, mesh.faces), warnings=mesh.notes)
    shape = load_signal(path, "shape")
    if shape.source == "distances":
        raise SignalError(path, "has distances at points in place of a surface", "give a mesh, or points with normals")
    assert shape.points is not None  # Meshes have been read above.
    points = shape.points * shape.scale + shape.center
    _check_coordinates(path, points)
    return SurfaceFile(path, points, normals=shape.normals, warnings=list(shape.warnings))


def _checked(
    path: Path, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Tuple[Float[np.ndarray, "w 3"], Int[np.ndarray, "g 3"]]:
    """The vertices that faces use, those with equal coordinates as one, and the faces with three different corners."""
    import igl

    if faces.min() < 0 or faces.max() >= len(vertices):
        raise SignalError(path, "has faces with vertices that are not there", "export the mesh again")
    used = np.unique(faces)
    _check_coordinates(path, vertices[used])
    distinct = igl.remove_duplicate_vertices(np.ascontiguousarray(vertices), faces, 0.0)
    vertices, faces = np.asarray(distinct[0]), np.asarray(distinct[3])
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    if not _unit_normals(vertices[faces]).any():
        raise SignalError(path, "has no face with an area", "export the mesh again")
    used, faces = np.unique(faces, return_inverse=True)
    return vertices[used], np.ascontiguousarray(faces.reshape(-1, 3), dtype=np.int64)


def _check_coordinates(path: Path, points: Float[np.ndarray, "n 3"]) -> None:
    unusable = len(points) - int(np.isfinite(points).all(axis=1).sum())
    if unusable:
        raise SignalError(path, f"{unusable} of {len(points)} vertices are NaN or infinite", "export the mesh again")
    if np.abs(points).max() > LARGEST_COORDINATE:
        raise SignalError(path, f"has coordinates above {LARGEST_COORDINATE:g}", "use a larger unit of length")


def _doubled_areas(corners: Float[np.ndarray, "f 3 3"]) -> Float[np.ndarray, "f 3"]:
    """Normals as long as twice the triangles' areas."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _unit_normals(corners: Float[np.ndarray, "f 3 3"]) -> Float[np.ndarray, "f 3"]:
    """Unit normals of triangles, zero where they have no area."""
    normals = _doubled_areas(corners)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
