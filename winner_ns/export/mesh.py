"""Meshes of fitted shapes: marching cubes on the field, in the original's frame and units."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError
from winner_ns.export.output import check_suffix, replacing, require_kind
from winner_ns.fields.files import LoadedField, on_lattice

if TYPE_CHECKING:
    import trimesh

SUFFIXES = (".ply", ".obj", ".stl", ".glb", ".off")


def extract_unit_mesh(
    loaded: LoadedField, resolution: int = 256
) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The zero level set in the unit cube, by marching cubes (Lorensen and Cline 1987) on a dense grid.

    Args:
        loaded: a fitted shape.
        resolution: grid points along each axis, spanning [-1, 1]; their distances take 4 bytes each.

    Returns:
        Vertices (float64, unit cube) and faces (int64, counter-clockwise seen from outside); both empty where the
        field has no zero level set. The mesh is closed: the cube's walls count as outside.
    """
    import mcubes

    lines = [np.linspace(-1.0, 1.0, resolution)] * 3
    distance = on_lattice(loaded.unit_distance, lines)[..., 0]
    if distance.max() <= 0:
        return np.empty((0, 3)), np.empty((0, 3), dtype=np.int64)
    # Shapes end well inside the cube. What an unfinished field believes to be inside at its walls is closed there.
    for axis in range(3):
        walls = distance[(slice(None),) * axis + ([0, -1],)]
        distance[(slice(None),) * axis + ([0, -1],)] = np.maximum(walls, 1e-3)
    vertices, faces = mcubes.marching_cubes(distance, 0.0)
    # PyMCubes turns faces towards larger values, which are outside here.
    return vertices * (2.0 / (resolution - 1)) - 1.0, faces[:, ::-1].astype(np.int64)


def extract_mesh(loaded: LoadedField, resolution: int = 256) -> trimesh.Trimesh:
    """The fitted surface in the original's frame and units.

    Args:
        loaded: a fitted shape.
        resolution: as in `extract_unit_mesh`, at least 2.

    Raises:
        SignalError: another kind of run, or a field without a surface.
    """
    import trimesh

    require_kind(loaded, "shape")
    if resolution < 2:
        raise SignalError("--resolution", f"{resolution} is too small", "give at least 2, better 128 or more")
    vertices, faces = extract_unit_mesh(loaded, resolution)
    if not len(faces):
        raise SignalError(
            loaded.description["name"],
            "the field has no surface, its distance never changes sign",
            f"train longer, or raise --resolution (now {resolution}) if the shape is thinner than a cell",
        )
    # In double precision: a shape may lie far from the origin of its frame.
    return trimesh.Trimesh(vertices * loaded.signal["scale"] + np.array(loaded.signal["center"]), faces, process=False)


def export_mesh(loaded: LoadedField, output: Path, resolution: int = 256) -> Dict[str, Any]:
    """Extracts the fitted surface and writes it as PLY, OBJ, STL, GLB or OFF, told by the suffix.

    Coordinates keep the original's frame: PLY has double precision where single would show, GLB moves a node to where
    the shape is, OBJ and OFF have the decimals that it takes. STL has single precision only.

    Returns:
        path, resolution, vertices, faces, watertight and warnings.

    Raises:
        SignalError: as `extract_mesh`, an unknown suffix, or the file cannot be written.
    """
    require_kind(loaded, "shape")
    suffix = check_suffix(output, SUFFIXES)
    mesh = extract_mesh(loaded, resolution)
    spacing = 2.0 * loaded.signal["scale"] / (resolution - 1)
    single = np.spacing(np.float32(np.abs(mesh.vertices).max())) < 1e-3 * spacing
    warnings: List[str] = []
    with replacing(output, loaded.description) as temporary:
        if suffix == ".ply":
            _write_ply(temporary, mesh, np.dtype("<f4" if single else "<f8"))
        elif suffix == ".glb":
            _write_glb(temporary, mesh, np.array(loaded.signal["center"]))
        elif suffix == ".stl":
            mesh.export(temporary, file_type="stl")
            if not single:
                warnings.append(
                    f"{output}: STL has single precision, too coarse this far from the origin; write PLY, OBJ or GLB"
                )
        else:
            options = {"include_normals": False, "header": None} if suffix == ".obj" else {}
            mesh.export(temporary, file_type=suffix[1:], digits=max(4 - math.floor(math.log10(spacing)), 0), **options)
    return {
        "path": str(output),
        "kind": "shape",
        "resolution": resolution,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": bool(mesh.is_watertight),
        "warnings": warnings,
    }


def _write_ply(path: Path, mesh: trimesh.Trimesh, number: np.dtype) -> None:
    """Binary PLY with vertices of either precision (trimesh writes single only)."""
    name = "float" if number.itemsize == 4 else "double"
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("vertices", "<i4", 3)])
    faces["count"], faces["vertices"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(mesh.vertices)}",
        *(f"property {name} {axis}" for axis in "xyz"),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    with open(path, "wb") as file:
        file.write("\n".join(header).encode())
        file.write(mesh.vertices.astype(number).tobytes())
        file.write(faces.tobytes())


def _write_glb(path: Path, mesh: trimesh.Trimesh, center: Float[np.ndarray, "3"]) -> None:
    """Binary glTF, whose vertices have single precision, around the shape's centre; the node's matrix has double."""
    import trimesh

    scene = trimesh.Scene()
    moved = trimesh.Trimesh(mesh.vertices - center, mesh.faces, process=False)
    scene.add_geometry(moved, transform=trimesh.transformations.translation_matrix(center))
    path.write_bytes(scene.export(file_type="glb"))
