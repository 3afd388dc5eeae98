"""Mesh files that keep coordinates far from the origin."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import numpy as np
from jaxtyping import Float, UInt8

from winner_ns.signals.meshes.colours import linear_from_srgb

if TYPE_CHECKING:
    import trimesh

SUFFIXES = (".ply", ".obj", ".stl", ".glb", ".off")
WITH_NORMALS = (".ply", ".obj", ".glb")
WITH_COLORS = WITH_NORMALS
_OWN_COLOR = "_COLOR"


def write_mesh(
    path: Path, mesh: trimesh.Trimesh, center: Float[np.ndarray, "3"], spacing: float, normals: bool = False
) -> List[str]:
    """Writes a mesh as PLY, OBJ, STL, GLB or OFF, told by the suffix.

    PLY has double precision where single would show, GLB moves a node to where the shape is, OBJ and OFF have the
    decimals that it takes. STL has single precision only.

    Args:
        path: the file.
        mesh: vertices in double precision; its vertex colours, sRGB, if it has any, go into PLY, OBJ and GLB.
        center: a point near the middle of the mesh.
        spacing: about the length of its edges.
        normals: of vertices, too; not for STL and OFF.

    Returns:
        Warnings.
    """
    suffix = path.suffix.lower()
    single = bool(np.spacing(np.float32(np.abs(mesh.vertices).max())) < 1e-3 * spacing)
    if suffix == ".ply":
        _write_ply(path, mesh, "<f4" if single else "<f8", normals)
    elif suffix == ".glb":
        _write_glb(path, mesh, center, normals)
    elif suffix == ".stl":
        mesh.export(path, file_type="stl")
        if not single:
            return ["STL has single precision, too coarse this far from the origin; write PLY, OBJ or GLB"]
    else:
        options = {"include_normals": normals, "header": None} if suffix == ".obj" else {}
        digits = max(4 - math.floor(math.log10(spacing)), 6 if normals else 0)  # Those of normals, too.
        mesh.export(path, file_type=suffix[1:], digits=digits, **options)
    return []


def _write_ply(path: Path, mesh: trimesh.Trimesh, number: str, normals: bool) -> None:
    """Binary PLY with vertices of either precision (trimesh writes single only)."""
    name = "float" if number == "<f4" else "double"
    colors = _vertex_colors(mesh)
    colored = colors is not None
    columns = [("position", number, 3)] + [("normal", "<f4", 3)] * normals + [("color", "u1", 3)] * colored
    vertices = np.empty(len(mesh.vertices), dtype=columns)
    vertices["position"] = mesh.vertices
    if normals:
        vertices["normal"] = mesh.vertex_normals
    if colors is not None:
        vertices["color"] = colors[:, :3]
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("vertices", "<i4", 3)])
    faces["count"], faces["vertices"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {name} {axis}" for axis in "xyz"),
        *(f"property float n{axis}" for axis in "xyz" if normals),
        *(f"property uchar {name}" for name in ("red", "green", "blue") if colored),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    with open(path, "wb") as file:
        file.write("\n".join(header).encode())
        vertices.tofile(file)
        faces.tofile(file)


def _write_glb(path: Path, mesh: trimesh.Trimesh, center: Float[np.ndarray, "3"], normals: bool) -> None:
    """Binary glTF, whose vertices have single precision, around the shape's centre; the node's matrix has double."""
    import trimesh

    scene = trimesh.Scene()
    known = {"vertex_normals": mesh.vertex_normals} if normals else {}
    moved = trimesh.Trimesh(mesh.vertices - center, mesh.faces, process=False, validate=False, **known)
    colors = _vertex_colors(mesh)
    if colors is not None:
        # Amounts of light, as glTF has them; trimesh's own would be sRGB's values. Of 8 bits dark ones would be few.
        moved.vertex_attributes[_OWN_COLOR] = linear_from_srgb(colors[:, :3] / 255.0).astype(np.float32)
    scene.add_geometry(moved, transform=trimesh.transformations.translation_matrix(center))
    written = scene.export(file_type="glb", include_normals=normals, tree_postprocessor=_name_colors)
    assert isinstance(written, bytes)
    path.write_bytes(written)


def _name_colors(tree: Dict[str, Any]) -> None:
    """Calls the vertices' colours what glTF calls them: trimesh has attributes of one's own begin with a line."""
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            attributes = primitive["attributes"]
            if _OWN_COLOR in attributes:
                attributes["COLOR_0"] = attributes.pop(_OWN_COLOR)


def _vertex_colors(mesh: trimesh.Trimesh) -> Optional[UInt8[np.ndarray, "v 4"]]:
    """The colours of a mesh's vertices, if it has any."""
    from trimesh.visual import ColorVisuals

    visual = mesh.visual
    return visual.vertex_colors if isinstance(visual, ColorVisuals) and visual.kind == "vertex" else None
