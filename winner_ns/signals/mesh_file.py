"""Mesh files as they are: vertices and faces through trimesh, nothing merged or repaired."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError
from winner_ns.signals.quiet import quiet_stderr

MESH_SUFFIXES = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf")


class MeshFile(NamedTuple):
    """What a mesh file holds; a scene is one mesh, its parts where they stand."""

    vertices: Float[np.ndarray, "v 3"]
    """float64, in the file's units."""
    faces: Int[np.ndarray, "f 3"]
    """int64; none in a PLY of points alone."""
    points: Optional[Float[np.ndarray, "p 3"]]
    """The vertices of a PLY without faces."""
    normals: Optional[Float[np.ndarray, "p 3"]]
    """Theirs, if it has some."""


def mesh_type(path: Path) -> Optional[str]:
    """What trimesh calls a file's format, told by its content or else by its suffix; None where it is no mesh.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(4)
    if head.startswith(b"ply"):
        return "ply"
    if head == b"glTF":
        return "glb"
    suffix = path.suffix.lower()
    return suffix[1:] if head and suffix in MESH_SUFFIXES else None


def read_mesh_file(path: Path, file_type: str) -> MeshFile:
    """Reads a file of a `mesh_type`.

    Raises:
        SignalError: it is damaged.
    """
    import trimesh

    try:
        with quiet_stderr():
            # Unprocessed: trimesh would merge vertices by an absolute tolerance, whatever the mesh's unit.
            scene = trimesh.load_scene(path, file_type=file_type, process=False, skip_materials=True)
            mesh = _single_mesh(scene) or scene.to_mesh()
            vertices, faces = np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)
    except Exception as error:  # Any type: whatever its parsers stumble on in a damaged file.
        raise SignalError(
            path, f"is cut or no {file_type.upper()} file ({type(error).__name__})", "export the mesh again"
        ) from error
    return MeshFile(vertices, faces, *((None, None) if len(faces) else _ply_points(scene)))


def _single_mesh(scene):
    """The mesh of a scene that holds one as it stands, without the copies that moving it takes."""
    nodes = scene.graph.nodes_geometry
    if len(nodes) != 1:
        return None
    transform, name = scene.graph[nodes[0]]
    mesh = scene.geometry[name]
    return mesh if (transform == np.eye(4)).all() and hasattr(mesh, "faces") else None


def _ply_points(scene) -> Tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """The vertices and normals of a PLY point cloud, which trimesh has in the file's own columns only."""
    for geometry in scene.geometry.values():
        columns = geometry.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
        for names in (("x", "y", "z", "nx", "ny", "nz"), ("x", "y", "z")):
            try:
                with np.errstate(invalid="ignore"):
                    table = np.stack([np.asarray(columns[name], np.float64).ravel() for name in names], axis=1)
            except (KeyError, TypeError, ValueError, IndexError):
                continue
            return table[:, :3], table[:, 3:] if len(names) == 6 else None
    return None, None
