"""Meshes of fitted shapes, in the original's frame and units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float

from winner_ns.errors import SignalError, setting_error
from winner_ns.export.mesh_colours import original_colours
from winner_ns.export.mesh_files import SUFFIXES, WITH_COLORS, WITH_NORMALS, write_mesh
from winner_ns.export.output import fitted_path, require_export
from winner_ns.fields.files import LoadedField
from winner_ns.meshing.cleaning import is_watertight, largest_components, simplified
from winner_ns.meshing.fitted_surface import fitted_level_set, mesh_resolution
from winner_ns.meshing.level_set_points import outward_normals, project
from winner_ns.progress import Report, silent
from winner_ns.shape_losses import shape_loss
from winner_ns.writing import check_output, replacing

if TYPE_CHECKING:
    import trimesh

LARGEST = 4096
"""Of all resolutions: coarse cells, whose number grows with its third power, would take too much memory."""


@dataclass(frozen=True)
class MeshOptions:
    """What else may be asked of a mesh."""

    level: float = 0.0
    """Distance from the fitted surface, in the original's units; negative is inside it."""
    bounds: Optional[Sequence[float]] = None
    """Corners of a box in the original's frame and units, low x, y, z, high x, y, z; or one number, for so many times
    the cube that was fitted. The surface is closed at its walls. Default: that cube."""
    components: Optional[int] = None
    """Keeps so many of the surface's connected parts, those with the largest areas."""
    faces: Optional[int] = None
    """Simplifies the mesh to about so many."""
    project: bool = False
    """Moves vertices onto the level set, from where it would be if the distance were linear within each cell."""
    normals: bool = False
    """Adds normals to the vertices, the directions of the field's gradient."""
    colours: bool = True
    """Adds the original's colours to the vertices, where it is at hand and has some."""
    original: Optional[Path] = None
    """Where the original is now; None: where it was when it was fitted."""


def extract_mesh(
    loaded: LoadedField,
    resolution: Optional[int] = None,
    options: MeshOptions = MeshOptions(),  # noqa: B008 (frozen)
    report: Report = silent,
    called: Optional[Path] = None,
) -> Tuple[trimesh.Trimesh, Dict[str, Any]]:
    """The fitted surface in the original's frame and units.

    Args:
        loaded: a fitted shape.
        resolution: grid points along the longest axis, at least 3; None: 256.
        options: as they say.
        report: is told about the progress.
        called: what messages call the run; None: by what was fitted.

    Returns:
        The mesh, with vertex normals if asked for and colours; and points_evaluated, fraction_evaluated (of the grid's
        points), components (where only some were to be kept: how many there were), spacing (the grid's, in the
        original's units), watertight, coloured, warnings.

    Raises:
        SignalError: another kind of run, options that cannot be, an original that is named and cannot be read, or a
            field without a surface there.
    """
    import trimesh
    from trimesh.visual import ColorVisuals

    require_export(loaded, "mesh")
    scale, center = loaded.signal["scale"], np.array(loaded.signal["center"], dtype=np.float64)
    low, high = _box(loaded, options.bounds)
    level = options.level / scale
    resolution = mesh_resolution(resolution)
    _check(options, resolution)
    found = fitted_level_set(loaded, resolution, level, low, high, report)
    if not len(found.faces):
        raise _no_surface(loaded, options, resolution, called)
    warnings = _warnings(loaded, options, low, high)
    facts: Dict[str, Any] = {
        "points_evaluated": found.points_evaluated,
        "fraction_evaluated": found.points_evaluated / found.grid_points,
    }
    vertices, faces, spacing = found.vertices, found.faces, found.spacing
    del found
    if options.components is not None:
        vertices, faces, facts["components"] = largest_components(vertices, faces, options.components)
    if options.faces is not None:
        vertices, faces = simplified(vertices, faces, options.faces)
    if options.project:
        vertices = project(loaded, level, vertices, low, high, spacing)
    facts["watertight"] = is_watertight(faces)
    if options.faces is not None and not facts["watertight"]:
        warnings.append(f"{options.faces} faces are so few that the mesh is not watertight; give more")
    normals = outward_normals(loaded, vertices, low, high, spacing) if options.normals else None
    colours = None
    if options.colours:
        colours, missing = original_colours(loaded, vertices, options.original, report)
        warnings += missing
    facts["coloured"] = colours is not None
    # In double precision: a shape may lie far from the origin of its frame. In place where nobody else has them: those
    # of a fine grid take gigabytes.
    vertices = np.multiply(vertices, scale, out=vertices if vertices.flags.writeable else None)
    vertices += center
    mesh = trimesh.Trimesh(vertices, faces, vertex_normals=_whole(normals, vertices, faces), process=False)
    if colours is not None:
        mesh.visual = ColorVisuals(mesh, vertex_colors=colours)
    return mesh, {**facts, "spacing": scale * float(spacing.max()), "warnings": warnings}


def export_mesh(
    loaded: LoadedField,
    output: Path,
    resolution: Optional[int] = None,
    options: MeshOptions = MeshOptions(),  # noqa: B008 (frozen)
    report: Report = silent,
    called: Optional[Path] = None,
) -> Dict[str, Any]:
    """Extracts the fitted surface and writes it as PLY, OBJ, STL, GLB or OFF, told by the suffix (`write_mesh`).

    Returns:
        path, kind, resolution, vertices, faces, watertight, points_evaluated, fraction_evaluated, components, coloured
        (as `extract_mesh`) and warnings.

    Raises:
        SignalError: as `extract_mesh`, an unknown suffix, one without normals, or the file cannot be written.
    """
    require_export(loaded, "mesh")
    suffix = check_output(output, SUFFIXES, loaded.description.data)
    if options.normals and suffix not in WITH_NORMALS:
        raise SignalError(
            output, f"{suffix} has no vertex normals", f"name a file that ends in {', '.join(WITH_NORMALS)}"
        )
    if suffix not in WITH_COLORS:
        options = replace(options, colours=False)
    resolution = mesh_resolution(resolution)
    mesh, facts = extract_mesh(loaded, resolution, options, report, called)
    spacing, warnings = facts.pop("spacing"), facts.pop("warnings")
    with replacing(output, loaded.description.data) as temporary:
        written = write_mesh(temporary, mesh, np.array(loaded.signal["center"]), spacing, options.normals)
    warnings += [f"{output}: {warning}" for warning in written]
    counts = {"vertices": len(mesh.vertices), "faces": len(mesh.faces)}
    return {"path": str(output), "kind": loaded.kind, "resolution": resolution, **counts, **facts, "warnings": warnings}


def write_fitted(loaded: LoadedField, folder: Path) -> Path:
    """Writes a fitted shape's mesh as its kind's own file, PLY (`export_fitted`)."""
    path = fitted_path(loaded, ".ply", folder)
    export_mesh(loaded, path)
    return path


def _check(options: MeshOptions, resolution: int) -> None:
    if resolution < 3:
        raise setting_error("resolution", f"{resolution} is too small", "give at least 3, better 128 or more")
    if resolution > LARGEST:
        advice = f"give at most {LARGEST}, and bounds for a part"
        raise setting_error("resolution", f"{resolution} is too large", advice)
    if not math.isfinite(options.level):
        raise setting_error("level", f"{options.level} is no distance", "give one in the original's units")
    if options.components is not None and options.components < 1:
        raise setting_error("components", f"{options.components} leaves nothing", "give at least 1")
    if options.faces is not None and options.faces < 4:
        raise setting_error("faces", f"{options.faces} cannot be closed", "give at least 4")


def _box(loaded: LoadedField, bounds: Optional[Sequence[float]]) -> Tuple[np.ndarray, np.ndarray]:
    """Corners of the box in which the surface is looked for, in the unit cube."""
    if bounds is None:
        return -np.ones(3), np.ones(3)
    given = np.array(bounds, dtype=np.float64)
    shown = " ".join(f"{value:g}" for value in given)
    if len(given) not in (1, 6) or not np.isfinite(given).all():
        raise setting_error("bounds", f"{shown} is no box", "give low x y z and high x y z, or one number")
    if len(given) == 1:
        given = np.repeat([-given[0], given[0]], 3)
    else:
        given = (given - np.tile(loaded.signal["center"], 2)) / loaded.signal["scale"]
    low, high = given[:3], given[3:]
    if not (low < high).all():
        raise setting_error("bounds", f"{shown} is an empty box", "give low x y z, then high x y z, each larger")
    return low, high


def _no_surface(loaded: LoadedField, options: MeshOptions, resolution: int, called: Optional[Path]) -> SignalError:
    name, where = called or loaded.description.name, "" if options.bounds is None else " in these bounds"
    if options.level:
        problem, far = f"the field has no surface at level {options.level:g}{where}", _furthest_level(loaded)
        near = f", within {far:.4g} distances are well fitted" if 0 < far < math.inf else ""
        return SignalError(name, problem, f"give one nearer to 0{near}")
    advice = f"train longer, or raise the resolution (now {resolution}) if the shape is thinner than a cell"
    if where:
        advice = "give a box that the surface passes through"
    return SignalError(name, f"the field has no surface{where}, its distance never changes sign", advice)


def _furthest_level(loaded: LoadedField) -> float:
    """Up to which levels are smooth, in the original's units."""
    target = loaded.description.target
    return shape_loss(target).well_fitted * target["distance_scale"] * loaded.signal["scale"]


def _warnings(loaded: LoadedField, options: MeshOptions, low: np.ndarray, high: np.ndarray) -> List[str]:
    warnings, far = [], _furthest_level(loaded)
    if abs(options.level) > far:
        advice = "the largest components alone leave specks out"
        warnings.append(f"level {options.level:g}: distances beyond {far:.4g} are not well fitted; {advice}")
    if (low < -1).any() or (high > 1).any():
        center, scale = np.array(loaded.signal["center"]), loaded.signal["scale"]
        corners = " ".join(f"{value:g}" for value in (*(center - scale), *(center + scale)))
        warnings.append(f"bounds: nothing was fitted beyond the box {corners}, expect surfaces that are not there")
    return warnings


def _whole(
    normals: Optional[np.ndarray], vertices: np.ndarray, faces: np.ndarray
) -> Optional[Float[np.ndarray, "v 3"]]:
    """Normals, those that are zero replaced by those of the faces around."""
    import trimesh

    if normals is not None:
        lost = np.abs(normals).max(axis=1) == 0
        if lost.any():
            normals[lost] = trimesh.Trimesh(vertices, faces, process=False).vertex_normals[lost]
    return normals
