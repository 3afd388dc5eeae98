"""The original of a shape, drawn by the browser over what the field looks like."""

from __future__ import annotations

import numpy as np
import viser
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO

from winner_ns.signals import ShapeSignal

NAME = "/original"
COLOUR = (90, 170, 110)
MOST_FACES = 300_000
POINTS = 100_000
"""Of larger meshes, and where there is no mesh, so many points are drawn."""


def add_original_surface(server: viser.ViserServer, original: ShapeSignal) -> viser.SceneNodeHandle:
    """Adds a shape's mesh (wireframe) or points to the viewer's scene."""
    scale = VISER_NERFSTUDIO_SCALE_RATIO
    if original.vertices is not None and original.faces is not None and len(original.faces) <= MOST_FACES:
        return server.scene.add_mesh_simple(
            NAME,
            vertices=(original.vertices * scale).astype(np.float32),
            faces=original.faces.astype(np.uint32),
            color=COLOUR,
            wireframe=True,
        )
    points, _ = original.sample_surface(POINTS, 0)
    return server.scene.add_point_cloud(
        NAME, points=points * scale, colors=COLOUR, point_size=0.004 * scale, point_shape="circle"
    )
