"""Reading shapes: meshes through trimesh, point samples with distances or normals from arrays, text and PLY."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError
from winner_ns.signals.array import open_array
from winner_ns.signals.quiet import quiet_stderr
from winner_ns.signals.shape import ShapeSignal

SURFACE_EXTENT = 0.9
"""The surface's largest coordinate in the unit cube."""
MIN_POINTS = 16
FLATNESS = 1e-6
"""Thickness, as a share of the size, below which a shape counts as flat."""

MESH_SUFFIXES = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf")
TEXT_SUFFIXES = (".xyz", ".txt", ".csv")

_SAMPLES_ADVICE = "give columns x y z distance or x y z nx ny nz, one row per point"


def read_shape(path: Path) -> ShapeSignal:
    """Reads a mesh (OBJ, PLY, STL, OFF, GLB, glTF) or point samples.

    Point samples are .npz (points with distances, sdf or signed_distance, or with normals), .npy or text of 4 columns
    (x y z distance) or 6 (x y z nx ny nz), or a PLY without faces but with normals. A scene becomes one mesh. The
    centre of the bounding box goes to the origin and the surface into [-0.9, 0.9]^3; samples with distances keep all
    points in [-1, 1]^3 and what is inside in [-0.9, 0.9]^3.

    Raises:
        SignalError: the file holds no surface, is damaged, flat, or has NaN or infinite numbers.
    """
    with open(path, "rb") as file:
        head = file.read(8)
    suffix = path.suffix.lower()
    if head.startswith(b"\x93NUMPY"):
        return _from_columns(path, open_array(path))
    if head.startswith(b"PK\x03\x04"):
        return _from_archive(path)
    file_type = _mesh_type(head, suffix)
    if file_type:
        return _from_mesh_file(path, file_type)
    if suffix in TEXT_SUFFIXES:
        return _from_columns(path, _read_text(path))
    raise SignalError(path, "is no shape", "give an OBJ, PLY, STL, OFF, GLB or glTF mesh, or point samples")


def _mesh_type(head: bytes, suffix: str) -> Optional[str]:
    if head.startswith(b"ply"):
        return "ply"
    if head.startswith(b"glTF"):
        return "glb"
    return suffix[1:] if suffix in MESH_SUFFIXES else None


def _from_mesh_file(path: Path, file_type: str) -> ShapeSignal:
    import trimesh

    try:
        with quiet_stderr():
            # Unprocessed: trimesh would merge vertices by an absolute tolerance, whatever the mesh's unit.
            scene = trimesh.load_scene(path, file_type=file_type, process=False, skip_materials=True)
            mesh = scene.to_mesh()
    except Exception as error:  # Any type: whatever its parsers stumble on in a damaged file.
        raise SignalError(
            path, f"is cut or no {file_type.upper()} file ({type(error).__name__})", "export the mesh again"
        ) from error
    vertices, faces = np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)
    if len(faces):
        return _from_mesh(path, file_type, vertices, faces)
    points, normals = _points_with_normals(scene)
    if normals is None:
        raise SignalError(path, "has no faces and no normals", "give a mesh with faces, or points with normals")
    return _from_normals(path, points, normals, file_type.upper())


def _points_with_normals(scene) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """The vertices and normals of a PLY point cloud, which trimesh has in the file's own columns only."""
    for geometry in scene.geometry.values():
        columns = geometry.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
        names = ("x", "y", "z", "nx", "ny", "nz")
        try:
            with np.errstate(invalid="ignore"):
                table = np.stack([np.asarray(columns[name], np.float64).ravel() for name in names], axis=1)
        except (KeyError, TypeError, ValueError, IndexError):
            continue
        return table[:, :3], table[:, 3:]
    return np.empty((0, 3)), None


def _from_mesh(
    path: Path, file_type: str, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> ShapeSignal:
    import trimesh

    warnings: List[str] = []
    if vertices.shape[1:] != (3,) or faces.min() < 0 or faces.max() >= len(vertices):
        raise SignalError(path, "has faces with vertices that are not there", "export the mesh again")
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3)
    _check_finite(path, "vertices", vertices)
    vertices, center, scale = _into_cube(path, vertices)
    _check_not_flat(path, vertices)

    # Formats repeat vertices per face, seam or normal; the surface is one only once they are shared.
    first, merged = trimesh.grouping.unique_rows(vertices, digits=8)
    vertices, faces = vertices[first], merged[faces]
    a, b, c = faces.T
    faces = np.ascontiguousarray(faces[(a != b) & (b != c) & (c != a)], dtype=np.int64)
    if not len(faces):
        raise SignalError(path, "has no face with an area", "export the mesh again")
    faces = _oriented_alike(path, faces, vertices, warnings)
    watertight = bool(trimesh.Trimesh(vertices, faces, process=False).is_watertight)
    corners = vertices[faces]
    faces = faces[np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any(axis=1)]
    if not len(faces):
        raise SignalError(path, "has no face with an area", "export the mesh again")
    shape = ShapeSignal(
        path=path,
        source="mesh",
        center=center,
        scale=scale,
        vertices=np.ascontiguousarray(vertices),
        faces=np.ascontiguousarray(faces),
        watertight=watertight,
        sign_rule="inside where the generalised winding number is above 1/2",
        metadata={"format": file_type.upper(), "vertices": len(vertices), "faces": len(faces)},
        warnings=warnings,
    )
    if shape.enclosed_volume() < 0:
        shape.faces = np.ascontiguousarray(faces[:, ::-1])
        warnings.append(f"{path}: the faces point inward; they are turned around")
    if not watertight:
        warnings.append(
            f"{path}: is not watertight; inside is where the generalised winding number is above 1/2 "
            "(Jacobson et al. 2013; Barill et al. 2018), a guess across the holes"
        )
    return shape


def _oriented_alike(
    path: Path, faces: Int[np.ndarray, "f 3"], vertices: Float[np.ndarray, "v 3"], warnings: List[str]
) -> Int[np.ndarray, "f 3"]:
    """Turns single faces that point the other way than the rest of their patch."""
    import igl
    import trimesh

    if trimesh.Trimesh(vertices, faces, process=False).is_winding_consistent:
        return faces
    aligned, patch = igl.bfs_orient(faces)
    turned = (aligned != faces).any(axis=1)
    # Which of a patch's two sides is out is decided by most of its faces.
    counts = np.bincount(patch)
    mostly = np.bincount(patch, weights=turned) > counts / 2
    wrong = turned != mostly[patch]
    if wrong.any():
        warnings.append(f"{path}: {int(wrong.sum())} of {len(faces)} faces point the wrong way; they are turned around")
    return np.where(wrong[:, None], faces[:, ::-1], faces)


def _from_archive(path: Path) -> ShapeSignal:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = {name.lower(): name for name in archive.files}
            wanted = {name: names[name] for name in ("points", *_DISTANCE_NAMES, "normals") if name in names}
            arrays: Dict[str, np.ndarray] = {name: archive[key] for name, key in wanted.items()}
    except Exception as error:  # Any type: zip, zlib and header errors.
        problem = "holds pickled Python objects" if "allow_pickle" in str(error) else "is cut or no .npz file"
        raise SignalError(path, problem, "save it again with numpy.savez") from error
    distances = next((arrays[name] for name in _DISTANCE_NAMES if name in arrays), None)
    if "points" not in arrays or (distances is None and "normals" not in arrays):
        found = ", ".join(names) or "nothing"
        raise SignalError(path, f"holds {found}", "it needs points with distances (or sdf), or points with normals")
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise SignalError(path, f"{name} are {array.dtype} instead of real numbers", "save integers or floats")
    points = np.asarray(arrays["points"], np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise SignalError(path, f"points have the shape {points.shape}", "save them as [points, 3]")
    if distances is not None:
        if distances.size != len(points):
            raise SignalError(path, f"{len(points)} points have {distances.size} distances", "save one for each")
        return _from_distances(path, points, np.asarray(distances, np.float64).ravel(), "NPZ")
    if arrays["normals"].shape != points.shape:
        raise SignalError(path, f"{len(points)} points have normals {arrays['normals'].shape}", "save one for each")
    return _from_normals(path, points, np.asarray(arrays["normals"], np.float64), "NPZ")


_DISTANCE_NAMES = ("distances", "distance", "sdf", "signed_distance", "signed_distances")


def _read_text(path: Path) -> np.ndarray:
    try:
        with open(path, encoding="utf-8-sig") as file:
            first = file.readline()
            while first.lstrip().startswith("#"):
                first = file.readline()
            delimiter = "," if "," in first else None
            if not any(_is_number(field) for field in first.split(delimiter)):
                first = file.readline()  # A line of column names.
            if not first.strip():
                raise ValueError("no rows")
            return np.loadtxt(itertools.chain([first], file), delimiter=delimiter, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise SignalError(path, "is no table of numbers", _SAMPLES_ADVICE) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _from_columns(path: Path, table: np.ndarray) -> ShapeSignal:
    if table.ndim != 2 or table.shape[1] not in (4, 6):
        raise SignalError(path, f"has the shape {table.shape}", _SAMPLES_ADVICE)
    table = np.asarray(table, np.float64)
    file_format = path.suffix[1:].upper()
    if table.shape[1] == 4:
        return _from_distances(path, table[:, :3], table[:, 3], file_format)
    return _from_normals(path, table[:, :3], table[:, 3:], file_format)


def _from_distances(path: Path, points: np.ndarray, distances: np.ndarray, file_format: str) -> ShapeSignal:
    warnings: List[str] = []
    _check_points(path, points)
    _check_finite(path, "distances", distances[:, None])
    if (distances == distances[0]).all():
        raise SignalError(path, f"all distances are {distances[0]:g}", "there is nothing to fit")
    if not (distances < 0).any() or not (distances > 0).any():
        side = "outside" if (distances < 0).any() else "inside"
        warnings.append(f"{path}: no distance is {side} the shape (negative is inside); no surface can be extracted")
    low, high = points.min(axis=0), points.max(axis=0)
    center = low / 2 + high / 2
    inside = distances <= 0
    # The ball around an inside point, of its distance as radius, is inside too.
    reach = (np.abs(points[inside] - center).max(axis=1) - distances[inside]).max(initial=0.0)
    scale = float(max((high - low).max() / 2, reach / SURFACE_EXTENT))
    return ShapeSignal(
        path=path,
        source="distances",
        center=center,
        scale=scale,
        points=(points - center) / scale,
        distances=distances / scale,
        sign_rule="as given with the points, negative inside",
        metadata={"format": file_format, "points": len(points)},
        warnings=warnings,
    )


def _from_normals(path: Path, points: np.ndarray, normals: np.ndarray, file_format: str) -> ShapeSignal:
    warnings: List[str] = []
    _check_points(path, points)
    _check_finite(path, "normals", normals)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not length.all():
        raise SignalError(path, f"{int((length == 0).sum())} normals have no length", "drop these points")
    points, center, scale = _into_cube(path, points)
    _check_not_flat(path, points)
    shape = ShapeSignal(
        path=path,
        source="oriented-points",
        center=center,
        scale=scale,
        points=points,
        normals=normals / length,
        sign_rule="by the tangent plane of the nearest sample (Hoppe et al. 1992)",
        metadata={"format": file_format, "points": len(points)},
        warnings=warnings,
    )
    if shape.enclosed_volume() < 0:
        shape.normals = -normals / length
        warnings.append(f"{path}: the normals point inward; they are turned around")
    return shape


def _check_points(path: Path, points: np.ndarray) -> None:
    if len(points) < MIN_POINTS:
        raise SignalError(path, f"has {len(points)} points", f"give at least {MIN_POINTS}")
    _check_finite(path, "points", points)
    if not np.ptp(points, axis=0).any():
        raise SignalError(path, "all points are the same", "there is nothing to fit")


def _check_finite(path: Path, what: str, rows: np.ndarray) -> None:
    unusable = len(rows) - int(np.isfinite(rows).all(axis=1).sum())
    if unusable:
        raise SignalError(path, f"{unusable} of {len(rows)} {what} are NaN or infinite", "repair them before fitting")


def _into_cube(path: Path, points: Float[np.ndarray, "n 3"]) -> Tuple[np.ndarray, np.ndarray, float]:
    """The points with their bounding box centred in [-0.9, 0.9]^3, its centre and the length of a unit."""
    low, high = points.min(axis=0), points.max(axis=0)
    center = low / 2 + high / 2
    scale = float((high - low).max() / 2 / SURFACE_EXTENT)
    if scale == 0:
        raise SignalError(path, "has no extent, all vertices are the same", "there is nothing to fit")
    return (points - center) / scale, center, scale


def _check_not_flat(path: Path, points: Float[np.ndarray, "n 3"]) -> None:
    thickness = np.sqrt(max(np.linalg.eigvalsh(np.cov(points.T))[0], 0.0))
    if thickness < FLATNESS:
        raise SignalError(path, "is flat, all of it lies in one plane", "give a shape that has an inside")
