"""Coloured meshes of surfaces that were learnt from photographs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Literal, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.errors import SignalError, setting_error
from winner_ns.export.mesh import LARGEST
from winner_ns.export.mesh_files import SUFFIXES, WITH_COLORS, write_mesh
from winner_ns.fields.description import Description
from winner_ns.fields.files import check_sizes
from winner_ns.fitting.run import read_model
from winner_ns.meshing.cleaning import is_watertight, largest_components, simplified
from winner_ns.meshing.extraction import extract_level_set
from winner_ns.meshing.fitted_surface import mesh_resolution
from winner_ns.progress import Report, silent
from winner_ns.rays.neus_field import SURFACE_SETTINGS, SirenSDFField, SirenSDFFieldConfig
from winner_ns.writing import check_output, replacing

if TYPE_CHECKING:
    import trimesh

Frame = Literal["world", "scene"]
TRUSTED = 0.2
"""Times half the scene box: further from the surface, little holds the distance to its slope."""
COLORED_AT_ONCE = 2**15


def load_surface(path: Path) -> Tuple[SirenSDFField, Dict[str, Any]]:
    """The field and the description of a run of `ns-train winner-neus`, on a GPU where there is one; the photographs
    are not needed.

    Raises:
        SignalError: no run or no checkpoint there, of another method, or damaged.
    """
    description, tensors = read_model(path)
    try:
        field = rebuild_surface(description, tensors)
    except ValueError as error:
        raise SignalError(path, f"cannot be used ({error})", "use another checkpoint, or train again") from error
    return field.to("cuda" if torch.cuda.is_available() else "cpu"), description


def rebuild_surface(description: Description, tensors: Mapping[str, Tensor]) -> SirenSDFField:
    """A surface's field from a checkpoint's description and weights; nothing in either is executed.

    Raises:
        ValueError: they do not fit together, or the weights are not finite.
    """
    try:
        settings = {name: description.further["surface"][name] for name in SURFACE_SETTINGS}
        _check_sizes(description, settings, tensors)
        field = SirenSDFField(
            SirenSDFFieldConfig(**settings, description=description.as_dict()),
            aabb=torch.tensor(description.signal["box"]),
            num_images=int(description.signal["train_views"]),
            use_average_appearance_embedding=bool(
                description.further["surface"].get("use_average_appearance_embedding")
            ),
        )
        field.load_state_dict(dict(tensors))
    except (KeyError, TypeError, AttributeError, OverflowError, RuntimeError, MemoryError) as error:
        raise ValueError(f"the weights do not fit the description: {str(error) or type(error).__name__}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise ValueError("the weights are not finite, the training diverged")
    return field.eval().requires_grad_(False)


def _check_sizes(description: Description, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError, or KeyError, where settings do not fit the weights, before they take any time or memory."""
    trunk = {name.removeprefix("trunk."): value for name, value in tensors.items() if name.startswith("trunk.")}
    check_sizes(description.network, trunk)
    colour = [name for name in tensors if re.fullmatch(r"clin\d+\.weight", name)]
    embedding = (max(int(description.signal["train_views"]), 1), settings["appearance_embedding_dim"])
    if (
        not all(value.numel() for value in tensors.values())
        or description.network.out_dim != settings["geo_feat_dim"] + 1
        or len(colour) != settings["num_layers_color"] + 1
        or len(tensors["clin0.weight"]) != settings["hidden_dim_color"]
        or tuple(tensors["embedding_appearance.embedding.weight"].shape) != embedding
    ):
        raise ValueError("the surface's settings do not fit the weights")


def scene_mesh(
    field: SirenSDFField,
    description: Description,
    resolution: Optional[int] = None,
    frame: Frame = "world",
    bounds: Optional[Sequence[float]] = None,
    components: Optional[int] = None,
    faces: Optional[int] = None,
    report: Report = silent,
) -> Tuple[trimesh.Trimesh, Dict[str, Any]]:
    """The surface, with a colour for each vertex.

    Args:
        field: a surface's field.
        description: of its run.
        resolution: grid points along the longest axis of the box; None: 256.
        frame: world, that of the data's files; scene, nerfstudio's, in which the scene is turned, centred and scaled.
        bounds: corners of a box in that frame, low x, y, z, high x, y, z; None is the scene box. The surface is closed
            at its walls.
        components: keeps so many connected parts, those with the largest areas.
        faces: simplifies the mesh to about so many.
        report: is told about the progress.

    Returns:
        The mesh; and points_evaluated, fraction_evaluated (of the grid's points), components (where only some were to
        be kept: how many there were), watertight.

    Raises:
        SignalError: no surface there.
    """
    import trimesh

    resolution = mesh_resolution(resolution)
    if not 3 <= resolution <= LARGEST:
        raise setting_error("resolution", f"{resolution} cannot be", f"give from 3 to {LARGEST}")
    scene = description.signal
    low, high = (corner.double().numpy() for corner in field.aabb.detach().cpu())
    to_frame = world_from_scene(scene) if frame == "world" else np.eye(4)
    if bounds is not None:
        low, high = _box_in_scene(bounds, to_frame)
    device = field.aabb.device
    found = extract_level_set(
        lambda x: field.signed_distance(x.to(device).float()).cpu(),
        low,
        high,
        resolution,
        TRUSTED * field.frame.half_extent,
        report,
    )
    if not len(found.faces):
        raise SignalError(description.name, "the field has no surface there", "train longer, or give other --bounds")
    facts: Dict[str, Any] = {
        "points_evaluated": found.points_evaluated,
        "fraction_evaluated": found.points_evaluated / found.grid_points,
    }
    vertices, triangles = found.vertices, found.faces
    if components is not None:
        vertices, triangles, facts["components"] = largest_components(vertices, triangles, components)
    if faces is not None:
        vertices, triangles = simplified(vertices, triangles, faces)
    facts["watertight"] = is_watertight(triangles)
    colors = vertex_colors(field, vertices)
    vertices = vertices @ to_frame[:3, :3].T + to_frame[:3, 3]
    if np.linalg.det(to_frame[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=colors)
    facts["spacing"] = float(found.spacing.max() * np.cbrt(abs(np.linalg.det(to_frame[:3, :3]))))
    return mesh, facts


def write_scene_mesh(
    field: SirenSDFField,
    description: Description,
    output: Path,
    resolution: Optional[int] = None,
    frame: Frame = "world",
    report: Report = silent,
    **options: Any,
) -> Dict[str, Any]:
    """Extracts the surface and writes it as PLY, OBJ or GLB with colours, or STL or OFF without.

    Args:
        output: the file, its format by its suffix.
        options: bounds, components and faces; all others as `scene_mesh`.

    Returns:
        path, kind, frame, resolution, vertices, faces, watertight, points_evaluated, fraction_evaluated, components (as
        `scene_mesh`) and warnings.

    Raises:
        SignalError: as `scene_mesh`, an unknown suffix, or the file cannot be written.
    """
    suffix = check_output(output, SUFFIXES)
    resolution = mesh_resolution(resolution)
    mesh, facts = scene_mesh(field, description, resolution, frame, report=report, **options)
    spacing = facts.pop("spacing")
    with replacing(output) as temporary:
        warnings = [f"{output}: {line}" for line in write_mesh(temporary, mesh, mesh.bounds.mean(axis=0), spacing)]
    if suffix not in WITH_COLORS:
        warnings.append(f"{output}: {suffix} has no colours; {', '.join(WITH_COLORS)} have")
    counts = {"vertices": len(mesh.vertices), "faces": len(mesh.faces)}
    return {
        "path": str(output),
        "kind": "views",
        "frame": frame,
        "resolution": resolution,
        **counts,
        **facts,
        "warnings": warnings,
    }


def world_from_scene(scene: Dict[str, Any]) -> Float[np.ndarray, "4 4"]:
    """From nerfstudio's frame of a scene back to that of its files: the data parser's turn, shift and scale undone."""
    forward = np.eye(4)
    forward[:3] = np.array(scene["dataparser_transform"], dtype=np.float64)
    forward[:3] *= scene["dataparser_scale"]
    return np.linalg.inv(forward)


def vertex_colors(field: SirenSDFField, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """8-bit colours of vertices (scene frame), each seen from straight above."""
    points = torch.from_numpy(vertices.astype(np.float32)).to(field.aabb.device)
    colors = torch.cat([field.surface_colors(part) for part in points.split(COLORED_AT_ONCE)])
    return (colors.clamp(0.0, 1.0) * 255.0).round().byte().cpu().numpy()


def _box_in_scene(bounds: Sequence[float], to_frame: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The box in the scene's frame around one that is given in another frame."""
    if len(bounds) != 6:
        raise SignalError("--bounds", f"{len(bounds)} numbers are no box", "give low x y z, high x y z")
    corners = np.array(bounds, dtype=np.float64).reshape(2, 3)
    if not (corners[0] < corners[1]).all():
        raise SignalError("--bounds", f"{' '.join(f'{x:g}' for x in bounds)} is no box", "give low, then high corner")
    every = np.stack(np.meshgrid(*corners.T, indexing="ij"), axis=-1).reshape(-1, 3)
    back = np.linalg.inv(to_frame)
    every = every @ back[:3, :3].T + back[:3, 3]
    return every.min(axis=0), every.max(axis=0)
