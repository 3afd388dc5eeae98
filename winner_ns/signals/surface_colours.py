"""The colours of a surface at the places that are nearest to any points."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from winner_ns.errors import SignalError
from winner_ns.progress import Report, silent
from winner_ns.signals.curve_order import along_a_curve
from winner_ns.signals.mesh_file import mesh_type, read_mesh_file
from winner_ns.signals.meshes.colours import MeshColours
from winner_ns.signals.meshes.mesh import MeshFile
from winner_ns.signals.meshes.trimesh_colours import colours_of_trimesh
from winner_ns.signals.point_table import points_of_text
from winner_ns.signals.shape_file import SURFACE_EXTENT, TEXT_SUFFIXES

if TYPE_CHECKING:
    import trimesh

_BATCH = 2**16
_SAME = 1e-6
"""How far a shape may lie beside the place where it was brought, in units of the unit cube."""


class SurfaceColours:
    """The colours of a mesh's triangles, or of points.

    Args:
        places: of vertices, or of points, in the unit cube.
        faces: triangles; none of points.
        colours: theirs.
    """

    def __init__(self, places: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], colours: MeshColours) -> None:
        self._places, self._faces, self._colours = places, faces, colours

    def at(self, points: Float[np.ndarray, "n 3"], report: Report = silent) -> UInt8[np.ndarray, "n 3"]:
        """8-bit sRGB where the surface is nearest to points of the unit cube: what its corners' colours, or its
        texture, say there; of points, that of the nearest one."""
        queries, found = np.ascontiguousarray(points, dtype=np.float64), np.empty((len(points), 3), np.uint8)
        order = along_a_curve(queries)
        for start in range(0, len(queries), _BATCH):
            chosen = order[start : start + _BATCH]
            found[chosen] = self._colours.at(*self._nearest(queries[chosen]))
            report("finding colours", min(start + _BATCH, len(queries)), len(queries))
        return found

    def _nearest(self, queries: Float[np.ndarray, "n 3"]) -> Tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
        """The triangles, or points, that are nearest, and barycentric coordinates of the nearest places in them."""
        import trimesh

        if not len(self._faces):
            nearest = self._tree.query(queries, workers=-1)[1]
            return nearest, np.ones((len(queries), 1))
        _, face, closest = self._tree.squared_distance(self._places, self._faces, queries)
        face = np.asarray(face, np.int64).ravel()
        with np.errstate(all="ignore"):
            weights = trimesh.triangles.points_to_barycentric(self._places[self._faces[face]], closest, method="cross")
        # Triangles without an area have no such coordinates.
        weights = np.where(np.isfinite(weights).all(axis=1, keepdims=True), weights, 1 / 3).clip(0.0, 1.0)
        return face, weights / weights.sum(axis=1, keepdims=True)

    @cached_property
    def _tree(self) -> Any:
        if len(self._faces):
            import igl

            tree = igl.AABB()
            tree.init(self._places, self._faces)
            return tree
        from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

        return cKDTree(self._places)

    def __getstate__(self) -> Dict[str, Any]:
        # A search tree cannot be pickled, and is rebuilt in a moment.
        return {name: value for name, value in vars(self).items() if name != "_tree"}


def colours_of_mesh(mesh: trimesh.Trimesh, center: Float[np.ndarray, "3"], scale: float) -> Optional[SurfaceColours]:
    """The colours of one of trimesh's meshes, None where it has none; what becomes of the mesh later changes nothing.

    Args:
        mesh: as it was fitted.
        center, scale: of the unit cube into which it was brought.
    """
    colours = colours_of_trimesh(mesh)
    if colours is None:
        return None
    places = (np.asarray(mesh.vertices, np.float64) - center) / scale
    return SurfaceColours(np.ascontiguousarray(places), np.array(mesh.faces, np.int64), colours)


def colours_of_file(
    path: Path, center: Float[np.ndarray, "3"], scale: float
) -> Tuple[Optional[SurfaceColours], Sequence[str]]:
    """The colours of the shape that a file holds, None where it has none; and what could not be read of them, one line
    each.

    Args:
        path: a mesh, or points.
        center, scale: of the unit cube into which the shape was brought; they tell whether it is another one now.

    Raises:
        SignalError: the file cannot be read, or holds another shape.
    """
    try:
        mesh = _read(path)
        if mesh.colours is None:
            return None, mesh.colour_notes
        places = (mesh.vertices - center) / scale
        used = np.zeros(len(places), bool)
        used[mesh.faces if len(mesh.faces) else slice(None)] = True
        low, high = places[used].min(axis=0), places[used].max(axis=0)
    except SignalError:
        raise
    except Exception as error:  # Any type: nobody looked at the colours when the shape was fitted.
        problem = f"its colours cannot be read ({type(error).__name__})"
        raise SignalError(path, problem, "export it again") from error
    if not (np.abs(low + high).max() < _SAME and abs((high - low).max() / 2 - SURFACE_EXTENT) < _SAME):
        raise SignalError(path, "is not what was fitted (any more)", "put that back")
    return SurfaceColours(np.ascontiguousarray(places), mesh.faces, mesh.colours), mesh.colour_notes


def _read(path: Path) -> MeshFile:
    """A file's surface, or its points, with colours if it has some."""
    file_type = mesh_type(path)
    if file_type is not None:
        return read_mesh_file(path, file_type, colours=True)
    none = np.empty((0, 3), np.int64)
    if path.suffix.lower() not in TEXT_SUFFIXES:
        return MeshFile(np.empty((0, 3)), none, None, [])
    table = points_of_text(path)
    colours = None if table.colours is None else MeshColours(table.colours[:, None])
    return MeshFile(table.points, none, None, [], colours)
