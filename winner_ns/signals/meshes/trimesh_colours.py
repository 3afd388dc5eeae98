"""Colours that one of trimesh's meshes gives its surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from winner_ns.signals.meshes.colours import MeshColours, Texture, linear_from_srgb

if TYPE_CHECKING:
    import trimesh


def colours_of_trimesh(mesh: trimesh.Trimesh) -> Optional[MeshColours]:
    """Colours of a mesh's faces, of their corners, or of its materials and their textures; None where it has none."""
    visual: Any = mesh.visual
    faces = np.asarray(mesh.faces)
    # trimesh does not hold their numbers together: of quads that it splits, a file's colours are too few.
    if visual.kind == "vertex":
        colours = np.asarray(visual.vertex_colors, np.uint8)[:, :3]
        return MeshColours(colours[faces]) if len(colours) == len(mesh.vertices) else None
    if visual.kind == "face":
        colours = np.asarray(visual.face_colors, np.uint8)[:, :3]
        return MeshColours(np.repeat(colours[:, None], 3, axis=1)) if len(colours) == len(faces) else None
    if visual.kind != "texture" or visual.material is None:
        return None
    return _of_materials(mesh)


def _of_materials(mesh: trimesh.Trimesh) -> Optional[MeshColours]:
    """Amounts of light, into which sRGB's colours are brought, too."""
    from trimesh.visual.color import DEFAULT_COLOR

    visual: Any = mesh.visual
    faces = np.asarray(mesh.faces)
    materials = getattr(visual.material, "materials", [visual.material])
    of_faces = getattr(visual, "face_materials", None)
    which = np.zeros(len(faces), np.int64) if of_faces is None else np.asarray(of_faces, np.int64)
    if which.shape != (len(faces),) or which.min() < 0 or which.max() >= len(materials):
        return None
    uv = None if visual.uv is None else np.asarray(visual.uv, np.float64)
    if uv is not None and uv.shape != (len(mesh.vertices), 2):
        uv = None
    light, textures, number_of = np.ones((len(materials), 3), np.float32), [], np.full(len(materials), -1)
    coloured = False
    for number, material in enumerate(materials):
        simple = hasattr(material, "diffuse")
        picture = getattr(material, "image" if simple else "baseColorTexture", None) if uv is not None else None
        if picture is not None:
            number_of[number] = len(textures)
            textures.append(Texture(np.array(picture.convert("RGB"))))
        own = material.diffuse if simple else material.baseColorFactor
        # Of a simple material, a texture stands in its colour's place.
        if own is not None and not (simple and picture is not None):
            values = np.asarray(own)[:3] / 255.0
            light[number] = linear_from_srgb(values) if simple else values
        # trimesh gives materials that were not told their colour this one.
        coloured |= picture is not None or (own is not None and not np.array_equal(own, DEFAULT_COLOR))
    if not coloured:
        return None
    corners = np.repeat(light[which][:, None], 3, axis=1)
    if uv is None:
        return MeshColours(corners, linear=True)
    # trimesh counts from the lower left corner.
    return MeshColours(corners, True, (uv * (1.0, -1.0) + (0.0, 1.0))[faces], number_of[which], textures)
