"""Surfaces of equal value in fitted volumes: bone in a CT, the zero of a grid of signed distances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from winner_ns.errors import SignalError, setting_error
from winner_ns.export.mesh_files import SUFFIXES, write_mesh
from winner_ns.fields.files import LoadedField
from winner_ns.meshing.cleaning import is_watertight, largest_components, simplified
from winner_ns.meshing.extraction import extract_level_set
from winner_ns.meshing.fitted_surface import mesh_resolution
from winner_ns.progress import Report, silent
from winner_ns.reading import MOST_MAGNITUDE
from winner_ns.writing import check_output, replacing

LARGEST = 4096
"""Of all resolutions, as for shapes."""


@dataclass(frozen=True)
class SurfaceOptions:
    """What else may be asked of a volume's surface."""

    below: bool = False
    """Whether values below the level are inside, as signed distances are; else those above it, as bone is in a CT."""
    spacing: Optional[Sequence[float]] = None
    """Of the samples along the array's axes, in units of the mesh; one number is that of all. None: 1."""
    components: Optional[int] = None
    """Keeps so many connected parts, those with the largest areas."""
    faces: Optional[int] = None
    """Simplifies the mesh to about so many."""


def export_volume_surface(
    loaded: LoadedField,
    output: Path,
    level: Optional[float],
    resolution: Optional[int] = None,
    options: SurfaceOptions = SurfaceOptions(),  # noqa: B008 (frozen)
    report: Report = silent,
) -> Dict[str, Any]:
    """Extracts the surface where a fitted volume has a value, and writes it as PLY, OBJ, STL, GLB or OFF.

    Array axes are z, y, x: a vertex at x, y, z lies between the samples [z, y, x] / spacing, the first of which is at
    the origin. The mesh is closed at the volume's walls. The field is evaluated near the surface only
    (`extract_level_set`): a part that is smaller than coarse cells and far from all others can be missed.

    Args:
        loaded: a fitted volume of one channel.
        output: the file.
        level: in the volume's own units.
        resolution: grid points along the longest axis; None: 256.
        options: as they say.
        report: is told how far it is.

    Returns:
        path, kind, level, resolution, vertices, faces, watertight, points_evaluated, fraction_evaluated, components
        (where only some were to be kept: how many there were) and warnings.

    Raises:
        SignalError: no volume of one channel, no level, options that cannot be, no surface there, or the file cannot be
            written.
    """
    import trimesh

    name, signal = loaded.description.name, loaded.signal
    check_output(output, SUFFIXES, loaded.description.data)
    shape = signal["shape"]
    if len(shape) != 3 or loaded.channels != 1 or min(shape) < 2:
        problem = f"is {' x '.join(map(str, shape))} samples of {loaded.channels} channel(s), no volume of one"
        raise SignalError(name, problem, "export it as an array")
    low_value, high_value = (signal["value_offset"] + sign * signal["value_scale"] for sign in (-1, 1))
    if level is None or not math.isfinite(level):
        advice = f"give --level, between {low_value:g} and {high_value:g} of the volume's own units"
        raise SignalError(name, "has a surface at every value", advice)
    resolution = mesh_resolution(resolution)
    if not 3 <= resolution <= LARGEST:
        raise setting_error("resolution", f"{resolution} is none", f"give 3 to {LARGEST}")
    spacing = _spacing(options.spacing)
    extent = np.array(signal["half_extent"], dtype=np.float64)
    at_level, sign = (level - signal["value_offset"]) / signal["value_scale"], 1.0 if options.below else -1.0

    def outside(points: Tensor) -> Tensor:
        return sign * (loaded.normalised(points) - at_level)

    with torch.no_grad():
        found = extract_level_set(outside, -extent, extent, resolution, math.inf, report)
    if not len(found.faces):
        problem = f"the field has no surface at level {level:g}"
        raise SignalError(name, problem, f"its original's values are from {low_value:g} to {high_value:g}")
    vertices, faces = found.vertices, found.faces
    facts: Dict[str, Any] = {
        "points_evaluated": found.points_evaluated,
        "fraction_evaluated": found.points_evaluated / found.grid_points,
    }
    if options.components is not None:
        vertices, faces, facts["components"] = largest_components(vertices, faces, options.components)
    if options.faces is not None:
        vertices, faces = simplified(vertices, faces, options.faces)
    # From coordinates to samples, to lengths; then x first, which turns the surface inside out.
    samples = (vertices / extent + 1.0) / 2.0 * (np.array(shape) - 1)
    mesh = trimesh.Trimesh((samples * spacing)[:, ::-1], faces[:, ::-1], process=False)
    cell = float((found.spacing / extent / 2.0 * (np.array(shape) - 1) * spacing).max())
    center = ((np.array(shape) - 1) * spacing / 2.0)[::-1]
    with replacing(output, loaded.description.data) as temporary:
        warnings = [f"{output}: {warning}" for warning in write_mesh(temporary, mesh, center, cell)]
    counts = {"vertices": len(vertices), "faces": len(faces), "watertight": is_watertight(faces)}
    told = {"path": str(output), "kind": loaded.kind, "level": level, "resolution": resolution}
    return {**told, **counts, **facts, "warnings": warnings}


def _spacing(asked: Optional[Sequence[float]]) -> np.ndarray:
    given = np.array([1.0] if asked is None else asked, dtype=np.float64)
    if len(given) not in (1, 3) or not ((given >= 1 / MOST_MAGNITUDE) & (given <= MOST_MAGNITUDE)).all():
        shown = " ".join(f"{value:g}" for value in given)
        raise setting_error("spacing", f"{shown} is none", "give one number above 0, or three, of z, y and x")
    return np.broadcast_to(given, 3)
