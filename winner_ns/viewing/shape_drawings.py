"""What browsers draw of shapes: meshes of fitted surfaces and of originals, and slices."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Callable, Tuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.fields.files import LoadedField
from winner_ns.meshing.extraction import extract_level_set
from winner_ns.shape_losses import shape_loss
from winner_ns.signals import ShapeSignal
from winner_ns.signals.surface_colours import SurfaceColours
from winner_ns.viewing.colours import signed_colours
from winner_ns.viewing.drawing import Drawing, PlaneDrawing, Pose, Together, Work
from winner_ns.viewing.iso_lines import iso_lines
from winner_ns.viewing.legend import signed_bar
from winner_ns.viewing.mesh_drawing import Colours, Mesh, MeshDrawing, Surface

Found = OrderedDict[Tuple[int, float, int], Tuple[np.ndarray, np.ndarray]]
Distance = Callable[[Float[Tensor, "m 3"]], Float[Tensor, "m 1"]]

ROOM = 0.9
"""Half of the room that a shape takes beside another one."""
OF_ORIGINAL = 128
"""Grid points along an axis for an original that is no mesh."""
MOST_FACES = 1_000_000
"""Of an original that is handed over as it is."""
MOST_FOUND = 4
LINE = 0.0025
"""Width of a slice's lines, in units of the unit cube."""
FACING_SLICE = (
    Pose(rotation=(math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)),
    Pose(rotation=(math.sqrt(0.5), -math.sqrt(0.5), 0.0, 0.0)),
    Pose(),
)
"""How a plane z = 0 is turned to lie across x, y, z, its front towards larger ones."""


def fitted_surface(field: LoadedField, level: float, found: Found) -> Surface:
    """The level set of a fitted shape.

    Args:
        field: as long as it does not change, and `found` is the same, each surface is found once.
        level: the distance that it is at, in units of the unit cube.
        found: the surfaces of before, the last MOST_FOUND of which are kept.
    """
    trusted = shape_loss(field.description.target).trusted * field.description.target["distance_scale"]

    def surface(work: Work, resolution: int) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
        def distance(points: Tensor) -> Tensor:
            return work(field.unit_distance, points) - level

        key = id(field.network), level, resolution
        if key not in found:
            level_set = extract_level_set(distance, -np.ones(3), np.ones(3), resolution, trusted)
            found[key] = level_set.vertices, level_set.faces
            while len(found) > MOST_FOUND:
                found.popitem(last=False)
        return found[key]

    return surface


def original_surface(original: ShapeSignal) -> Surface:
    """The original's mesh, or the surface where it says that the distance is zero."""

    def surface(work: Work, resolution: int) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
        if original.vertices is not None and original.faces is not None and len(original.faces) <= MOST_FACES:
            return original.vertices, original.faces
        found = extract_level_set(
            lambda points: work(original_distance(original), points), -np.ones(3), np.ones(3), resolution, math.inf
        )
        return found.vertices, found.faces

    return surface


def original_distance(original: ShapeSignal) -> Distance:
    """Signed distance from the original, in units of the unit cube."""

    def distance(points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 1"]:
        return torch.from_numpy(original.signed_distance(points.cpu().numpy())).to(points)[:, None]

    return distance


def coloured_by_normals(field: LoadedField) -> Colours:
    """Normals towards x, y, z are red, green, blue."""
    return lambda work, vertices, normals: work(field.unit_normals, _points(vertices)).numpy() * 0.5 + 0.5


def coloured_by_distance(distance: Distance, strongest: float) -> Colours:
    """How far outside of another surface one lies, red, or inside, blue; in soft light from above, so that its form
    is seen."""

    def colours(
        work: Work, vertices: Float[np.ndarray, "v 3"], normals: Float[np.ndarray, "v 3"]
    ) -> Float[np.ndarray, "v 3"]:
        apart = work(lambda points: distance(points)[:, :1].float(), _points(vertices))
        return signed_colours(apart / strongest).numpy() * _soft_light(normals)

    return colours


def coloured_as(original: SurfaceColours) -> Colours:
    """The original's colours at the nearest places, in the same light."""

    def found(points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        return torch.from_numpy(original.at(points.numpy())) / 255.0

    return lambda work, vertices, normals: work(found, _points(vertices)).numpy() * _soft_light(normals)


def distance_legend(words: str, strongest: float, scale: float) -> Callable[[], str]:
    """The bar of these colours, in the original's units."""
    return lambda: signed_bar(strongest * scale, f"{words}, in the file's units")


def slice_drawing(
    field: LoadedField, surface: Surface, level: float, axis: int, position: float, resolution: int
) -> Together:
    """A plane across the cube with the distance's iso-lines, and what of the surface lies behind it."""
    across = FACING_SLICE[axis]
    place = np.zeros(3)
    place[axis] = position
    turned = torch.tensor(across.matrix, dtype=torch.float32)

    def paint(places: Float[Tensor, "m 2"]) -> Float[Tensor, "m 4"]:
        flat = torch.cat([places, torch.zeros_like(places[:, :1])], dim=-1)
        points = flat @ turned.t() + torch.tensor(place, dtype=torch.float32)
        distance = field.unit_distance(points)[:, 0] - level
        colours, opacity = iso_lines(distance, torch.full_like(distance, LINE))
        return torch.cat([colours, opacity[:, None]], dim=-1)

    def behind(work: Work, resolution: int) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
        vertices, faces = surface(work, resolution)
        return vertices, faces[(vertices[faces][:, :, axis] <= position).any(1)] if len(faces) else faces

    plane = PlaneDrawing(paint, 1.0, 1.0)
    drawings: Tuple[Tuple[Drawing, Pose], ...] = (
        (MeshDrawing(Mesh(behind, resolution), ROOM), Pose()),
        (plane, Pose(tuple(place.tolist()), across.rotation)),
    )
    return Together(drawings, 1.0)


def _soft_light(normals: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 1"]:
    return 0.75 + 0.25 * normals[:, 1:2]


def _points(vertices: Float[np.ndarray, "v 3"]) -> Float[Tensor, "v 3"]:
    return torch.from_numpy(np.asarray(vertices, dtype=np.float32))
