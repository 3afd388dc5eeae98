"""Reading shapes: meshes; points with distances, with normals or alone from arrays, text and PLY."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float, Int

from winner_ns.errors import SignalError, counted
from winner_ns.mapped import give_back_memory
from winner_ns.progress import Report, progress_bar
from winner_ns.reading import MOST_MAGNITUDE
from winner_ns.signals.array import check_magnitudes, open_array
from winner_ns.signals.distance_samples import STEEP, DistanceSamples, found_cuts, outermost, steepest_slope
from winner_ns.signals.given_normals import DOUBTFUL, checked_normals
from winner_ns.signals.hidden_surface import Crossings, has_hidden_faces, outer_surface
from winner_ns.signals.mesh_file import mesh_type, read_mesh_file
from winner_ns.signals.mesh_repair import WindingNumbers, oriented_outward, without_repeated_faces
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.point_table import PointTable, points_of_archive, points_of_columns, points_of_text
from winner_ns.signals.shape import ShapeSignal, Shells
from winner_ns.signals.unsigned_points import oriented_points

if TYPE_CHECKING:
    import trimesh

SURFACE_EXTENT = 0.9
"""The surface's largest coordinate in the unit cube."""
MIN_POINTS = 16
FLATNESS = 1e-6
"""Thickness, as a share of the size, below which a shape counts as flat."""

TEXT_SUFFIXES = (".xyz", ".txt", ".csv", ".tsv", ".pts", ".asc")

# Share of the outermost samples that have to be inside for distances to be the wrong way round.
_MOSTLY = 0.9
# Distance, as a share of the inside's extent, at which a sample is right beside the surface.
_NEAR = 0.02
# From this size on reading takes seconds, in bytes.
_LARGE_FILE = 2**25


def read_shape(path: Path) -> ShapeSignal:
    """Reads a mesh (OBJ, PLY, STL, OFF, GLB, glTF) or point samples.

    Point samples are .npz (points with distances, sdf or signed_distance, with normals, or alone, or DeepSDF's pos and
    neg), .npy or text of 4 columns (x y z distance), 6 (x y z nx ny nz), 7 (both) or 3, or whatever a first line calls
    its columns, .pts (text after an optional count, intensities and colours left aside, or the binary Expe format), or
    a PLY without faces. A scene becomes one mesh. The centre of the bounding box goes to the origin and the surface
    into [-0.9, 0.9]^3; samples with distances may lie beyond [-1, 1]^3.

    Distances are negative inside. They are turned around where they are negative farthest out, and those that many
    samples share with none beyond are taken for where they were cut off.

    Meshes may be broken: repeated faces count once, faces and parts that point the wrong way are turned around, what
    lies inside the solid is left out, and holes are guessed across. Points alone get estimated normals.

    Raises:
        SignalError: the file holds no surface, is damaged, flat, or has NaN or infinite numbers, or points without
            normals enclose nothing.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    suffix = path.suffix.lower()
    if head.startswith(b"\x93NUMPY"):
        return shape_of_array(open_array(path), path)
    if head.startswith(b"PK\x03\x04"):
        return _from_table(path, points_of_archive(path))
    file_type = mesh_type(path)
    if file_type:
        return _from_mesh_file(path, file_type)
    if head.startswith(b"[Expe/PointSet/"):
        return _from_expe(path)
    if suffix in TEXT_SUFFIXES:
        return _from_table(path, points_of_text(path))
    raise SignalError(path, "is no shape", "give an OBJ, PLY, STL, OFF, GLB or glTF mesh, or point samples")


def shape_of_array(array: np.ndarray, path: Path, options: Optional[ReadOptions] = None) -> ShapeSignal:
    """A shape from point samples, an array of columns as `read_shape` takes them; raises as that.

    Args:
        array: its samples.
        path: what messages, and files made of it, call it.
        options: for sounds.
    """
    return _from_table(path, points_of_columns(path, array))


def shape_of_mesh(mesh: "trimesh.Trimesh", path: Path) -> ShapeSignal:
    """A shape from one of trimesh's meshes; raises as `read_shape`."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    if not len(faces):
        raise SignalError(path, "has no faces", "give a mesh with faces, or an array of points")
    with progress_bar(long=len(faces) > 2**20) as report:
        return _from_mesh(path, "mesh", vertices, faces, report)


def _from_mesh_file(path: Path, file_type: str) -> ShapeSignal:
    with progress_bar(long=path.stat().st_size > _LARGE_FILE) as report:
        report(f"reading {path.name}", 0, 5)
        mesh = read_mesh_file(path, file_type)
        if len(mesh.faces):
            shape = _from_mesh(path, file_type, mesh.vertices, mesh.faces, report)
            shape.warnings[:0] = mesh.notes
            return shape
    if not len(mesh.vertices):
        raise SignalError(path, "has no faces and no points", "give a mesh with faces, or points")
    return _from_table(path, PointTable(file_type.upper(), mesh.vertices, None, mesh.normals, warnings=mesh.notes))


def _from_mesh(
    path: Path,
    file_type: str,
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    report: Report,
) -> ShapeSignal:
    import trimesh

    warnings: List[str] = []
    if vertices.shape[1:] != (3,) or faces.min() < 0 or faces.max() >= len(vertices):
        raise SignalError(path, "has faces with vertices that are not there", "export the mesh again")
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    vertices, faces = vertices[used], (np.cumsum(used) - 1)[faces]
    _check_finite(path, "vertices", vertices)
    vertices, center, scale = _into_cube(path, vertices)
    _check_not_flat(path, vertices)

    report(f"joining the vertices of {path.name}", 1, 5)
    # Formats repeat vertices per face, seam or normal; the surface is one only once they are shared.
    first, merged = trimesh.grouping.unique_rows(vertices, digits=8)
    vertices, faces = vertices[first], merged[faces]
    a, b, c = faces.T
    faces = without_repeated_faces(faces[(a != b) & (b != c) & (c != a)].astype(np.int64), len(vertices))
    if not len(faces):
        raise SignalError(path, "has no face with an area", "export the mesh again")
    report(f"orienting the faces of {path.name}", 2, 5)
    faces, watertight = oriented_outward(path, vertices, faces, warnings)
    # Only now: between two faces, one without an area may be what connects them.
    faces = np.ascontiguousarray(faces[_have_area(vertices, faces)])
    if not len(faces):
        raise SignalError(path, "has no face with an area", "export the mesh again")
    report(f"measuring winding numbers of {path.name}", 3, 5)
    windings = WindingNumbers(vertices, faces)
    report(f"looking for hidden faces of {path.name}", 4, 5)
    shells = outer = None
    if has_hidden_faces(vertices, faces, windings):
        # Searching for crossings takes as much memory as the winding numbers' tree: never both.
        del windings
        give_back_memory()
        crossings = Crossings.of(vertices, faces)
        give_back_memory()
        windings = WindingNumbers(vertices, faces)
        outer = outer_surface(vertices, faces, windings, crossings)
    if outer is not None:
        warnings.append(f"{path}: parts of the surface lie inside the solid; they are left out")
        shells = Shells(vertices, outer.shells)
        vertices, faces = outer.vertices, outer.faces
        del windings
        windings = WindingNumbers(shells.vertices, shells.faces)
    if not watertight:
        warnings.append(
            f"{path}: is not watertight; inside is where the generalised winding number is above 1/2 "
            "(Jacobson et al. 2013; Barill et al. 2018), a guess across the holes"
        )
    shape = ShapeSignal(
        path=path,
        source="mesh",
        center=center,
        scale=scale,
        vertices=vertices,
        faces=faces,
        shells=shells,
        watertight=watertight,
        sign_rule="inside where the generalised winding number is above 1/2",
        metadata={"format": file_type.upper(), "vertices": len(vertices), "faces": len(faces)},
        warnings=warnings,
    )
    shape._windings = windings
    return shape


def _have_area(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Bool[np.ndarray, " f"]:
    batch, found = 2**16, np.empty(len(faces), bool)
    for start in range(0, len(faces), batch):
        a, b, c = np.moveaxis(vertices[faces[start : start + batch]], 1, 0)
        found[start : start + batch] = np.cross(b - a, c - a).any(axis=1)
    return found


def _from_table(path: Path, table: PointTable) -> ShapeSignal:
    if table.distances is not None:
        # Normals are left aside: distances of neighbours tell them.
        shape = _from_distances(path, table.points, table.distances, table.file_format)
    elif table.normals is not None:
        shape = _from_normals(path, table.points, table.normals, table.file_format)
    else:
        shape = _from_points(path, table.points, table.file_format)
    shape.warnings[:0] = table.warnings
    return shape


def _from_expe(path: Path) -> ShapeSignal:
    """Points and normals of a .pts file in the binary Expe format: named properties of so many bytes each."""
    data = path.read_bytes()
    header, found, body = data.partition(b"\ndata\n")
    try:
        words = [line.split() for line in header.decode("ascii").splitlines() if line.strip()]
        sizes = {name: int(size) for key, name, size in (w for w in words if w[0] == "property")}
        count = next(int(w[1]) for w in words if w[0] == "nofpoints")
        if b"Binary" not in header or not found or not {sizes["position"], sizes.get("normal", 12)} <= {12, 24}:
            raise ValueError
        kinds = [
            (name, f"<f{size // 3}" if size in (12, 24) else "u1", size if size not in (12, 24) else 3)
            for name, size in sizes.items()
        ]
        rows = np.frombuffer(body, np.dtype(kinds), count)
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        raise SignalError(path, "is cut or no binary Expe point set", "export the points again") from error
    points = rows["position"].astype(np.float64)
    if "normal" in sizes:
        return _from_normals(path, points, rows["normal"].astype(np.float64), "PTS")
    return _from_points(path, points, "PTS")


def _from_distances(path: Path, points: np.ndarray, distances: np.ndarray, file_format: str) -> ShapeSignal:
    warnings: List[str] = []
    _check_points(path, points)
    _check_finite(path, "distances", distances[:, None])
    furthest = np.abs(distances).max()
    if furthest > MOST_MAGNITUDE:
        problem = f"its distances reach to {furthest:.3g}, which single precision does not hold"
        raise SignalError(path, problem, "repair them before fitting")
    if (distances == distances[0]).all():
        raise SignalError(path, f"all distances are {distances[0]:g}", "there is nothing to fit")
    if not (distances < 0).any() or not (distances > 0).any():
        side = "outside" if (distances < 0).any() else "inside"
        warnings.append(f"{path}: no distance is {side} the shape (negative is inside); no surface can be extracted")
    elif (distances[outermost(points)] < 0).mean() > _MOSTLY:
        distances = -distances
        warnings.append(
            f"{path}: the distances are negative farthest out, where they have to be positive; they are turned around"
        )
    slope = steepest_slope(points, distances)
    if slope > STEEP:
        warnings.append(
            f"{path}: the distances change by up to {slope:.2g} times the way between their points, so that they are "
            "no distances in the points' unit; what lies between the samples is told badly"
        )
    center, scale = _frame_of_distances(points, distances, trusted=slope <= STEEP)
    below, above = found_cuts(distances)
    check_magnitudes(path, "coordinates", float(np.abs(points).max()), float(scale))
    if error := DistanceSamples(points, distances, (below, above)).error:
        warnings.append(f"{path}: the distances have errors of about {error:.2g}; those near the surface are smoothed")
    return ShapeSignal(
        path=path,
        source="distances",
        center=center,
        scale=scale,
        points=(points - center) / scale,
        distances=distances / scale,
        cuts=(None if below is None else below / scale, None if above is None else above / scale),
        sign_rule="as given with the points, negative inside",
        metadata={"format": file_format, "points": len(points)},
        warnings=warnings,
    )


def _frame_of_distances(
    points: Float[np.ndarray, "p 3"], distances: Float[np.ndarray, " p"], trusted: bool
) -> Tuple[Float[np.ndarray, "3"], float]:
    """Centre and half side of the cube that has the surface within SURFACE_EXTENT; samples may lie beyond it."""
    inside = distances <= 0
    if not inside.any():
        low, high = points.min(axis=0), points.max(axis=0)
        return low / 2 + high / 2, float((high - low).max() / 2)
    # The ball around an inside point, of its distance as radius, is inside too.
    radius = -distances[inside, None] if trusted else 0.0
    low, high = (points[inside] - radius).min(axis=0), (points[inside] + radius).max(axis=0)
    # Next to parts of the surface that are too thin to have a sample inside there are some outside.
    near = np.abs(distances) <= _NEAR * (high - low).max()
    low = np.minimum(low, points[near].min(axis=0, initial=np.inf))
    high = np.maximum(high, points[near].max(axis=0, initial=-np.inf))
    half = (high - low).max() / 2
    return low / 2 + high / 2, float(half if half > 0 else np.ptp(points, axis=0).max() / 2) / SURFACE_EXTENT


def _from_normals(path: Path, points: np.ndarray, normals: np.ndarray, file_format: str) -> ShapeSignal:
    import trimesh

    warnings: List[str] = []
    _check_points(path, points)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.linalg.norm(normals, axis=1, keepdims=True)
    given = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    if not given.any():
        shape = _from_points(path, points, file_format)
        shape.warnings.insert(0, f"{path}: its normals are all zero or NaN, as good as none")
        return shape
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=given[:, None])
    points, center, scale = _into_cube(path, points)
    _check_not_flat(path, points)
    first, merged = trimesh.grouping.unique_rows(points, digits=8)
    # Points that come twice, as at a mesh's seams, have the mean of their normals.
    sums = np.stack([np.bincount(merged, normals[:, i]) for i in range(3)], axis=1)
    length, known = np.linalg.norm(sums, axis=1, keepdims=True), np.bincount(merged, given) > 0
    # Of two that cancel, neither counts.
    kept = ~known | (length[:, 0] > 1e-6)
    points, known, length = points[first][kept], known[kept], length[kept]
    normals = np.divide(sums[kept], length, out=np.zeros_like(points), where=known[:, None])
    _check_count(path, points)
    with progress_bar(long=len(points) > 2**18) as report:
        report(f"checking the normals of {path.name}", 0, 1)
        found = checked_normals(points, normals, known)
    if found is None:
        shape = _from_points(path, points * scale + center, file_format)
        shape.warnings.insert(0, f"{path}: its normals do not belong to a surface through the points; left aside")
        return shape
    missing = len(known) - int(known.sum())
    if missing:
        warnings.append(f"{path}: {missing} of {len(points)} normals are zero or NaN; these are estimated")
    if found.all_turned:
        warnings.append(f"{path}: the normals point inward; they are turned around")
    if found.turned:
        warnings.append(
            f"{path}: {found.turned} of {len(points)} normals point to another side than their neighbours or inward; "
            "they are turned around"
        )
    if found.sound < DOUBTFUL:
        warnings.append(
            f"{path}: {1 - found.sound:.0%} of the normals have no inside behind them: the points are too far apart "
            "for the shape's thin parts, or some normals point the wrong way"
        )
    return ShapeSignal(
        path=path,
        source="oriented-points",
        center=center,
        scale=scale,
        points=points,
        normals=found.normals,
        sign_rule="inside where the generalised winding number of the points and their normals is above 1/2",
        metadata={"format": file_format, "points": len(points)},
        warnings=warnings,
    )


def _from_points(path: Path, points: np.ndarray, file_format: str) -> ShapeSignal:
    import trimesh

    _check_points(path, points)
    points, center, scale = _into_cube(path, points)
    _check_not_flat(path, points)
    points = points[np.sort(trimesh.grouping.unique_rows(points, digits=8)[0])]
    _check_count(path, points)
    with progress_bar(long=len(points) > 2**18) as report:
        report(f"telling inside from outside of {path.name}", 0, 1)
        found = oriented_points(points)
    if found is None:
        raise SignalError(path, "the points shut nothing off that would be inside", "give normals or a denser set")
    warnings = []
    if found.moved:
        warnings.append(
            f"{path}: the points scatter by about {found.scatter * scale:.2g} around a smooth surface; "
            "they are moved onto it"
        )
    return ShapeSignal(
        path=path,
        source="points",
        center=center,
        scale=scale,
        points=found.points,
        normals=found.normals,
        sign_rule="inside where the generalised winding number of the points and of normals that are estimated and "
        "turned to the outside by a flood fill is above 1/2",
        metadata={"format": file_format, "points": len(found.points)},
        warnings=warnings,
    )


def _check_points(path: Path, points: np.ndarray) -> None:
    _check_count(path, points)
    _check_finite(path, "points", points)
    if not np.ptp(points, axis=0).any():
        raise SignalError(path, "all points are the same", "there is nothing to fit")


def _check_count(path: Path, points: np.ndarray) -> None:
    if len(points) < MIN_POINTS:
        raise SignalError(path, f"has {counted(len(points), 'point')}", f"give at least {MIN_POINTS}")


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
    check_magnitudes(path, "coordinates", float(np.abs([low, high]).max()), scale)
    return (points - center) / scale, center, scale


def _check_not_flat(path: Path, points: Float[np.ndarray, "n 3"]) -> None:
    thickness = np.sqrt(max(np.linalg.eigvalsh(np.cov(points.T))[0], 0.0))
    if thickness < FLATNESS:
        raise SignalError(path, "is flat, all of it lies in one plane", "give a shape that has an inside")
