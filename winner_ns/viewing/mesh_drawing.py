"""Surfaces that a browser draws by itself, as meshes with coloured vertices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Hashable, Iterator, Optional, Tuple

import numpy as np
import viser
from jaxtyping import Float, Int

from winner_ns.viewing.drawing import SCENE_SCALE, Drawing, Look, Part, Pose, Work
from winner_ns.viewing.glb import glb, vertex_normals
from winner_ns.viewing.legend import Legend, no_legend

COARSE = 48
"""Grid points along an axis of a surface in a hurry."""
CLAY = 0.55

Surface = Callable[[Work, int], Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]]
"""Vertices and faces, found on a grid of so many points along an axis where they have to be found."""
Colours = Callable[[Work, Float[np.ndarray, "v 3"], Float[np.ndarray, "v 3"]], Float[np.ndarray, "v 3"]]
"""Of vertices with these normals, in 0 … 1."""


@dataclass(frozen=True)
class Mesh(Part):
    """A surface. Without colours it is of clay, in the browser's light; else in these, as they are."""

    surface: Surface
    resolution: int
    colours: Optional[Colours] = None
    refines: bool = False

    @property
    def key(self) -> Hashable:
        return "mesh"

    def coarse(self) -> Optional[Mesh]:
        return Mesh(self.surface, COARSE, self.colours)

    def make(self, work: Work) -> bytes:
        vertices, faces = self.surface(work, self.resolution)
        if not len(faces):
            return b""
        normals = vertex_normals(vertices, faces)
        if self.colours is None:
            return glb(vertices, faces, normals, np.full_like(vertices, CLAY))
        return glb(vertices, faces, None, self.colours(work, vertices, normals))

    def add(self, scene: viser.SceneApi, name: str, made: bytes, pose: Pose, visible: bool) -> viser.SceneNodeHandle:
        if not made:
            return scene.add_frame(name, show_axes=False, visible=visible)
        return scene.add_glb(name, made, SCENE_SCALE, wxyz=pose.wxyz, position=pose.position, visible=visible)


@dataclass(frozen=True)
class MeshDrawing(Drawing):
    """A surface in the unit cube."""

    mesh: Mesh
    room: float
    legend: Legend = no_legend

    def parts(self, look: Look) -> Iterator[Part]:
        yield self.mesh
