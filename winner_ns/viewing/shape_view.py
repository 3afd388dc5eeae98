"""Shapes: the level set of a fitted distance in its unit cube, slices through it, and the original's surface."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Tuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.export.mesh_colours import colours_of_shape
from winner_ns.fields.files import LoadedField
from winner_ns.shape_losses import shape_loss
from winner_ns.signals import ShapeSignal
from winner_ns.signals.surface_colours import SurfaceColours
from winner_ns.viewing.axes import nice_step
from winner_ns.viewing.background import background_depth
from winner_ns.viewing.colours import signed_colours
from winner_ns.viewing.controls import Control, Dropdown, Slider
from winner_ns.viewing.drawing import Drawing
from winner_ns.viewing.iso_lines import iso_lines
from winner_ns.viewing.legend import Legend, no_legend
from winner_ns.viewing.mesh_drawing import Colours, Mesh, MeshDrawing
from winner_ns.viewing.mesh_drawing import Surface as MeshSurface
from winner_ns.viewing.pieces import in_pieces
from winner_ns.viewing.shape_drawings import (
    OF_ORIGINAL,
    ROOM,
    Found,
    coloured_as,
    coloured_by_distance,
    coloured_by_normals,
    distance_legend,
    fitted_surface,
    original_distance,
    original_surface,
    slice_drawing,
)
from winner_ns.viewing.signal_view import AS_OPENED, Draw, Framing, SignalView, ViewSettings
from winner_ns.viewing.sphere_tracing import Distance, EmptySpace, cube_interval, shade, trace
from winner_ns.viewing.view import View

if TYPE_CHECKING:
    import viser

WHOLE_ERROR = 0.05
"""Distance between two surfaces that has the strongest colour at error_gain 1, in units of the unit cube."""
FURTHEST = 0.1
"""Distance of the furthest level sets that are shown, in units of the unit cube."""
RESOLUTION, QUICK = 128, 80
"""Grid points along each axis of the meshes that are looked at; and while they change."""
AXES = ("x", "y", "z")
FACING = (math.sin(0.6) * math.cos(0.3), math.sin(0.3), math.cos(0.6) * math.cos(0.3))
"""From the shape to the camera at first: from the front, the right and a little above, y up."""


class ShapeView(SignalView[ShapeSignal]):
    """A surface in its unit cube, white beside it: as a mesh that the browser draws, or, as the output exact and for
    nerfstudio's render command, met by sphere tracing.

    Outputs of each field: shaded (matte, lit by the camera and a sky); normals (as colours); colours (the original's,
    where it has some); error (how far the surface lies outside, red, or inside, blue, of the original; the strongest
    colour is at WHOLE_ERROR / error_gain); slice (a plane of the cube with the distance's iso-lines every ISO_SPACING,
    inside blue, the part before it cut away); depth; accumulation. Of the original: original, original_normals.
    """

    def __init__(self, fields: Mapping[str, LoadedField], original: Optional[ShapeSignal] = None) -> None:
        super().__init__(fields, original)
        self.has_overlay = original is not None
        self._colours = None if original is None else colours_of_shape(original)
        self._spaces: Dict[str, Tuple[object, EmptySpace]] = {}
        self._found: Found = OrderedDict()
        self._resolution = RESOLUTION
        self.outputs = tuple(self._drawings(AS_OPENED))
        self.rendered = tuple(self.named(name, "exact") for name in self.fields)

    def framing(self, settings: ViewSettings = AS_OPENED) -> Framing:
        radius = 0.9
        if self.original is not None:
            surface = self.original.vertices if self.original.vertices is not None else self.original.points
            radius = min(float(np.linalg.norm(surface, axis=1).max()), math.sqrt(3.0))
        return Framing(FACING, 0.0, 0.0, radius)

    @property
    def exported(self) -> str:
        return "mesh"

    def is_quick(self, beside_training: bool) -> bool:
        return False

    def controls(self) -> Dict[str, Control]:
        return {
            "slice_axis": Dropdown("Slice across", AXES, "z"),
            "slice_position": Slider("Slice position", -1.0, 1.0, 0.01, 0.0),
            "iso_level": self._iso_levels(),
        }

    def _iso_levels(self) -> Slider:
        """As far as every field's distances are well fitted: further out, what the fits leave has surfaces, too."""
        reach = FURTHEST
        for field in self.fields.values():
            loss, scale = shape_loss(field.description.target), field.description.target["distance_scale"]
            reach = min(reach, (loss.well_fitted or loss.trusted) * scale)
        step = nice_step(reach / 60)
        reach = math.floor(reach / step + 1e-6) * step
        return Slider("Iso level", -reach, reach, step, 0.0)

    def settings(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        return {
            "slice_axis": AXES.index(values["slice_axis"]),
            "slice_position": float(values["slice_position"]),
            "iso_level": float(values["iso_level"]),
        }

    def add_overlay(self, server: viser.ViserServer) -> viser.SceneNodeHandle:
        from winner_ns.viewing.original_surface import add_original_surface  # Imports nerfstudio's viewer.

        assert self.original is not None
        return add_original_surface(server, self.original)

    def draws(self, view: View, settings: ViewSettings) -> Dict[str, Draw]:
        surfaces = {name: self._surface_of_field(name, view, settings) for name in self.fields}
        original = self._surface_of_original(view)
        draws: Dict[str, Draw] = {}

        def original_level(points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 1"]:
            return self._distance_of_original(points) - settings.iso_level

        for name, surface in surfaces.items():
            draws[self.named(name, "shaded")] = draws[self.named(name, "exact")] = surface.shaded
            draws[self.named(name, "normals")] = surface.normals
            if self._colours is not None:
                draws[self.named(name, "colours")] = partial(surface.coloured, self._colours)
        if original is not None:
            for name, surface in surfaces.items():
                draws[self.named(name, "error")] = self._apart(surface, original_level, settings)
        compared = self.compared(settings)
        if compared is not None:
            one, other = ((settings.difference or tuple(self.fields))[i] for i in (0, 1))
            draws["difference"] = self._apart(surfaces[one], surfaces[other].distance, settings)
        for name, surface in surfaces.items():
            draws[self.named(name, "slice")] = lambda surface=surface: _slice(surface, view, settings)
        # The first field's, which nerfstudio needs by these names.
        draws["accumulation"] = next(iter(surfaces.values())).accumulation
        draws["depth"] = next(iter(surfaces.values())).depth
        if original is not None:
            draws["original_normals"] = original.normals
            draws["original"] = original.shaded
        return self.with_the_last_field_last(draws, "shaded")

    def of_fields(self, fields: Mapping[str, LoadedField], quick: bool = False) -> ShapeView:
        view = cast(ShapeView, super().of_fields(fields, quick))
        view._found, view._resolution = OrderedDict(), QUICK if quick else RESOLUTION
        return view

    def drawing(self, output: str, settings: ViewSettings) -> Drawing:
        return self._drawings(settings)[output]()

    def _drawings(self, settings: ViewSettings) -> Dict[str, Callable[[], Drawing]]:
        """What browsers draw, by output; nothing is found before it is asked for."""
        level, strongest, scale = settings.iso_level, WHOLE_ERROR / settings.error_gain, self.signal["scale"]
        resolution = self._resolution
        surfaces = {name: fitted_surface(field, level, self._found) for name, field in self.fields.items()}

        def mesh(surface: MeshSurface, colours: Optional[Colours] = None, legend: Legend = no_legend) -> Drawing:
            return MeshDrawing(Mesh(surface, resolution, colours), ROOM, legend)

        def apart(surface: MeshSurface, distance: Distance, words: str) -> Drawing:
            legend = distance_legend(words, strongest, scale)
            return mesh(surface, coloured_by_distance(lambda x: distance(x) - level, strongest), legend)

        drawings: Dict[str, Callable[[], Drawing]] = {}
        for name, surface in surfaces.items():
            drawings[self.named(name, "shaded")] = partial(mesh, surface)
            drawings[self.named(name, "normals")] = partial(mesh, surface, coloured_by_normals(self.fields[name]))
            if self._colours is not None:
                drawings[self.named(name, "colours")] = partial(mesh, surface, coloured_as(self._colours))
        original = self.original
        if original is not None and original.source == "distances":
            original = None  # Which are known at their own points only.
        if original is not None:
            for name, surface in surfaces.items():
                drawings[self.named(name, "error")] = partial(
                    apart, surface, original_distance(original), "distance to the original"
                )
        compared = self.compared(settings)
        if compared is not None:
            one, other = list(settings.difference or self.fields)[:2]
            drawings["difference"] = partial(
                apart, surfaces[one], compared[1].unit_distance, f"distance of {one} to {other}"
            )
        for name, surface in surfaces.items():
            drawings[self.named(name, "slice")] = partial(
                slice_drawing,
                self.fields[name],
                surface,
                level,
                settings.slice_axis,
                settings.slice_position,
                resolution,
            )
        if original is not None:
            drawings["original"] = partial(MeshDrawing, Mesh(original_surface(original), OF_ORIGINAL), ROOM)
        return self.with_the_last_field_last(drawings, "shaded")

    def _surface_of_field(self, name: str, view: View, settings: ViewSettings) -> Surface:
        field, level = self.fields[name], settings.iso_level

        def distance(points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 1"]:
            return field.unit_distance(points) - level

        def space() -> EmptySpace:
            state = (level, *((p.data_ptr(), p._version) for p in field.network.parameters()))
            return self._space(name, state, distance, view)

        return Surface(distance, space, field.unit_normals, view.origins, view.directions)

    def _surface_of_original(self, view: View) -> Optional[Surface]:
        if self.original is None or self.original.source == "distances":
            return None

        def normals(points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
            return torch.from_numpy(self.original.surface_normals(points.cpu().numpy())).to(points)

        return Surface(
            self._distance_of_original,
            lambda: self._space("", None, self._distance_of_original, view),
            normals,
            view.origins,
            view.directions,
        )

    def _distance_of_original(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 1"]:
        return torch.from_numpy(self.original.signed_distance(points.cpu().numpy())).to(points)[:, None]

    def _space(self, name: str, state: object, distance: Distance, view: View) -> EmptySpace:
        """Measured anew when the field has changed."""
        if name not in self._spaces or self._spaces[name][0] != state:
            self._spaces[name] = (state, EmptySpace(distance, view.origins.device))
        return self._spaces[name][1]

    def _apart(self, surface: Surface, distance: Distance, settings: ViewSettings) -> Draw:
        """A surface in the colours of another one's distance."""

        def draw() -> Tensor:
            apart = in_pieces(distance, surface.hits()[1])[:, :1].float()
            colours = signed_colours(apart * (settings.error_gain / WHOLE_ERROR))
            return surface.painted(surface.lit(colours))

        return draw


class Surface:
    """A surface as some rays see it; everything is computed when it is first asked for, and once."""

    def __init__(
        self,
        distance: Distance,
        space: Callable[[], EmptySpace],
        normals_at: Callable[[Float[Tensor, "m 3"]], Float[Tensor, "m 3"]],
        origins: Float[Tensor, "n 3"],
        directions: Float[Tensor, "n 3"],
    ) -> None:
        self.distance, self.normals_at = distance, normals_at
        self.origins, self.directions = origins, directions
        self.space = cache(space)
        self.hits = cache(self._hits)
        self.hit_normals = cache(lambda: in_pieces(normals_at, self.hits()[1]))
        self.light = cache(self._light)

    def seen_from(self, origins: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"]) -> Surface:
        """The same surface along other rays."""
        return Surface(self.distance, self.space, self.normals_at, origins, directions)

    def _hits(self) -> Tuple[Tensor, Tensor, Tensor]:
        """Which rays meet the surface, where, and how far along them."""
        hits, reached = trace(self.distance, self.space(), self.origins, self.directions)
        return hits, self.origins[hits] + reached[:, None] * self.directions[hits], reached

    def _light(self) -> Float[Tensor, " m"]:
        hits, points, _ = self.hits()
        return shade(self.hit_normals(), points, self.directions[hits], self.space())

    def painted(self, colours: Float[Tensor, "m 3"]) -> Float[Tensor, "n 3"]:
        """A picture with these colours on the surface and white beside it."""
        picture = torch.ones_like(self.origins)
        picture[self.hits()[0]] = colours.to(picture)
        return picture

    def shaded(self) -> Float[Tensor, "n 3"]:
        return self.painted(self.light()[:, None].expand(-1, 3))

    def lit(self, colours: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """Colours in a light that leaves the form visible, but is not so strong that they change."""
        return colours * (0.35 + 0.65 * self.light()[:, None])

    def coloured(self, colours: SurfaceColours) -> Float[Tensor, "n 3"]:
        """A picture in another surface's colours at the nearest places."""
        found = torch.from_numpy(colours.at(self.hits()[1].cpu().numpy())).to(self.origins) / 255.0
        return self.painted(self.lit(found))

    def normals(self) -> Float[Tensor, "n 3"]:
        return self.painted(self.hit_normals() * 0.5 + 0.5)

    def depth(self) -> Float[Tensor, "n 1"]:
        depth = background_depth(self.origins, self.directions)
        hits, _, reached = self.hits()
        depth[hits] = reached[:, None]
        return depth

    def accumulation(self) -> Float[Tensor, "n 1"]:
        accumulation = torch.zeros_like(self.origins[:, :1])
        accumulation[self.hits()[0]] = 1.0
        return accumulation


def _slice(surface: Surface, view: View, settings: ViewSettings) -> Float[Tensor, "n 3"]:
    """A plane of the cube, opaque within the shape and translucent outside, and what of the surface lies behind it."""
    axis, position = settings.slice_axis, settings.slice_position
    along = view.directions[:, axis]
    reach = (position - view.origins[:, axis]) / torch.where(along == 0, torch.full_like(along, 1e-12), along)
    entry, leave = cube_interval(view.origins, view.directions)
    beyond = torch.nonzero((reach > 0) & (reach < leave))[:, 0]  # These rays get to the plane's far side.
    directions = view.directions[beyond]
    behind = surface.seen_from(view.origins[beyond] + reach[beyond, None] * directions, directions)
    picture = torch.ones_like(view.origins)
    picture[beyond] = behind.shaded()

    on_plane = beyond[reach[beyond] >= entry[beyond]]
    if len(on_plane):
        points = view.origins[on_plane] + reach[on_plane, None] * view.directions[on_plane]
        slant = along[on_plane].abs().clamp(min=0.05)
        pixel = reach[on_plane] * view.pixel_area[on_plane, 0].sqrt() / slant
        colours, opacity = iso_lines(in_pieces(surface.distance, points)[:, 0].float(), pixel)
        picture[on_plane] = torch.lerp(picture[on_plane], colours.to(picture), opacity[:, None].to(picture))
    return picture
