"""Images, and slices of volumes, frames of videos, as pictures in the plane z = 0."""

from __future__ import annotations

from functools import cache
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.fields.derivatives import derivatives
from winner_ns.fields.files import LoadedField
from winner_ns.signals import GridSignal
from winner_ns.viewing.background import background_depth
from winner_ns.viewing.colours import colours_of, sample_colours, signed_colours
from winner_ns.viewing.controls import Control, Dropdown, Slider
from winner_ns.viewing.drawing import Drawing, Paint, PlaneDrawing
from winner_ns.viewing.legend import Legend, colour_bar, no_legend, number, signed_bar
from winner_ns.viewing.pieces import in_pieces
from winner_ns.viewing.plane import plane_points
from winner_ns.viewing.signal_view import AS_OPENED, Draw, Framing, SignalView, ViewSettings
from winner_ns.viewing.view import View

SCALED_BY, SHARE = 4096, 0.98
"""Derivatives have their strongest colour at what this share of so many points, scattered over the plane, stays
below."""
SLOPES = "viridis"


class ImageView(SignalView[GridSignal]):
    """An image lies upright in the plane z = 0, x to the right along its columns and y up against its rows, white
    beside it; so does a slice of what has three axes, across any of them, and of what has a frame rate a frame.

    Outputs of each field: field; error (field minus original at the samples, times error_gain; white or gray where
    there is none); gradient (its magnitude, change of value per sample spacing); laplacian (signed, per squared sample
    spacing); both analytic. Of the original: original (its nearest samples). From close by the field is the continuous
    function that it is.
    """

    def __init__(self, fields: Mapping[str, LoadedField], original: Optional[GridSignal] = None) -> None:
        super().__init__(fields, original)
        self.outputs = tuple(self._painted(AS_OPENED))

    def framing(self, settings: ViewSettings = AS_OPENED) -> Framing:
        rows, columns = self._plane(settings)[1]
        return Framing((0.0, 0.0, 1.0), columns, rows)

    def controls(self) -> Dict[str, Control]:
        if len(self.signal["shape"]) < 3:
            return {}
        if "frame_rate" in self.signal:
            last = self.signal["shape"][0] - 1
            return {"frame": Slider("Frame", 0, max(last, 1), 1, last // 2)}
        return {
            "slice_axis": Dropdown("Slice across", ("0", "1", "2"), "0"),
            "slice_position": Slider("Slice position", -1.0, 1.0, 0.01, 0.0),
        }

    def settings(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        if "frame" in values:
            return {"slice_position": 2.0 * values["frame"] / max(self.signal["shape"][0] - 1, 1) - 1.0}
        if "slice_axis" in values:
            return {"slice_axis": int(values["slice_axis"]), "slice_position": float(values["slice_position"])}
        return {}

    def draws(self, view: View, settings: ViewSettings) -> Dict[str, Draw]:
        _, extent, _ = self._plane(settings)
        points, depth, meets = plane_points(view.origins, view.directions)
        x, y = points.unbind(-1)
        inside = meets & (y.abs() <= extent[0]) & (x.abs() <= extent[1])

        def draw(paint: Paint) -> Draw:
            def picture() -> Tensor:
                colours = torch.ones_like(view.origins)
                if inside.any():
                    colours[inside] = in_pieces(paint, points[inside]).to(colours)
                return colours

            return picture

        draws = {name: draw(paint) for name, (paint, _) in self._painted(settings).items()}
        draws["accumulation"] = lambda: inside[:, None].to(depth)
        draws["depth"] = lambda: torch.where(inside[:, None], depth, background_depth(view.origins, view.directions))
        return draws

    def drawing(self, output: str, settings: ViewSettings) -> Drawing:
        paint, legend = self._painted(settings)[output]
        rows, columns = self._plane(settings)[1]
        return PlaneDrawing(paint, columns, rows, legend)

    def _painted(self, settings: ViewSettings) -> Dict[str, Tuple[Paint, Legend]]:
        """How each output is painted onto the plane, and what its colours mean; nothing is evaluated before that."""
        axes, extent, position = self._plane(settings)
        gain, scale = settings.error_gain, self.signal["value_scale"]

        def coordinates(places: Float[Tensor, "m 2"]) -> Float[Tensor, "m d"]:
            return self._coordinates(places, axes, position)

        def field(field: LoadedField) -> Tuple[Paint, Legend]:
            return lambda places: sample_colours(field.normalised(coordinates(places)), places), no_legend

        def original(original: GridSignal) -> Tuple[Paint, Legend]:
            def paint(places: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
                values = original.values(nearest_samples(original, coordinates(places)))
                return sample_colours(values.to(places), places)

            return paint, no_legend

        def error(field: LoadedField, original: GridSignal) -> Tuple[Paint, Legend]:
            def paint(places: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
                indices = nearest_samples(original, coordinates(places))
                there = original.coordinates(indices).to(places)
                apart = field.normalised(there) - original.values(indices).to(places)
                return signed_colours(_of_colour(apart) / 2 * gain)

            return paint, self._differences("field − original", 2 * scale / gain)

        def difference(one: LoadedField, other: LoadedField) -> Tuple[Paint, Legend]:
            def paint(places: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
                there = coordinates(places)
                return signed_colours(_of_colour(one.normalised(there) - other.normalised(there)) / 2 * gain)

            first, second = settings.difference or list(self.fields)[:2]
            return paint, self._differences(f"{first} − {second}", 2 * scale / gain)

        painted: Dict[str, Tuple[Paint, Legend]] = {}
        for name, each in self.fields.items():
            painted[self.named(name, "field")] = field(each)
        if self.original is not None:
            for name, each in self.fields.items():
                painted[self.named(name, "error")] = error(each, self.original)
        compared = self.compared(settings)
        if compared is not None:
            painted["difference"] = difference(*compared)
        for name, each in self.fields.items():
            slopes, curvature = self._derivatives(each, axes, extent, coordinates)
            painted[self.named(name, "gradient")], painted[self.named(name, "laplacian")] = slopes, curvature
        if self.original is not None:
            painted["original"] = original(self.original)
        return self.with_the_last_field_last(painted, "field")

    def _derivatives(
        self,
        field: LoadedField,
        axes: Tuple[int, int],
        extent: Tuple[float, float],
        coordinates: Callable[[Float[Tensor, "m 2"]], Float[Tensor, "m d"]],
    ) -> Tuple[Tuple[Paint, Legend], Tuple[Paint, Legend]]:
        """Gradient and Laplacian of a field within the plane, per sample spacing."""
        lengths = [0.0] * len(self.signal["shape"])
        for axis in axes:
            samples, half = self.signal["shape"][axis], self.signal["half_extent"][axis]
            lengths[axis] = 2 * half / max(samples - 1, 1) or 1.0

        def at(places: Float[Tensor, "m 2"]) -> Tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
            return gradient_and_laplacian(field, coordinates(places), lengths)

        @cache
        def largest() -> Tuple[float, float]:
            generator = torch.Generator().manual_seed(0)
            places = torch.rand(SCALED_BY, 2, generator=generator) * 2 - 1
            scattered = at(places * torch.tensor([extent[1], extent[0]]))
            slope, curvature = (torch.quantile(values.abs(), SHARE).clamp(min=1e-12).item() for values in scattered)
            return slope, curvature

        units = self.signal["value_scale"]
        slopes = (
            lambda places: colours_of(SLOPES, at(places)[0] / largest()[0]),
            lambda: colour_bar(SLOPES, ["0", number(largest()[0] * units)], "change of value per sample"),
        )
        curvature = (
            lambda places: signed_colours((at(places)[1] / largest()[1])[:, None]),
            lambda: signed_bar(largest()[1] * units, "Laplacian: curvature of values per sample²"),
        )
        return slopes, curvature

    def _differences(self, what: str, strongest: float) -> Legend:
        """Of differences whose strongest colours are at so many of the original's units."""
        low, high = (self.signal["value_offset"] + sign * self.signal["value_scale"] for sign in (-1, 1))
        units = f"(values {number(low)} … {number(high)})"
        if self.signal["channels"] >= 3:
            ends = [number(-strongest), "0", number(strongest)]
            return lambda: colour_bar("gray", ends, f"{what} of each channel, gray where there is none {units}")
        return lambda: signed_bar(strongest, f"{what} {units}")

    def _plane(self, settings: ViewSettings) -> Tuple[Tuple[int, int], Tuple[float, float], Dict[int, float]]:
        """The axes that run down and to the right, their half extents, and the coordinates along all others."""
        extent: List[float] = self.signal["half_extent"]
        across = settings.slice_axis if len(extent) > 2 else None
        down, right = [axis for axis in range(len(extent)) if axis != across]
        fixed = {} if across is None else {across: settings.slice_position * extent[across]}
        return (down, right), (extent[down], extent[right]), fixed

    def _coordinates(
        self, points: Float[Tensor, "m 2"], axes: Tuple[int, int], fixed: Dict[int, float]
    ) -> Float[Tensor, "m d"]:
        down, right = axes
        columns = {down: -points[:, 1], right: points[:, 0]}
        columns.update({axis: torch.full_like(points[:, 0], value) for axis, value in fixed.items()})
        return torch.stack([columns[axis] for axis in sorted(columns)], dim=-1)


def nearest_samples(signal: GridSignal, coordinates: Float[Tensor, "m d"]) -> Int[Tensor, " m"]:
    """Flat indices (on the CPU, where the samples are) of those nearest to coordinates within the signal's extent."""
    coordinates = coordinates.cpu()
    flat = torch.zeros(len(coordinates), dtype=torch.long)
    for axis, (n, extent) in enumerate(zip(signal.shape, signal.half_extent, strict=True)):
        position = (coordinates[:, axis].double() / (extent or 1.0) + 1.0) * ((n - 1) / 2)
        flat = flat * n + position.round().long().clamp(0, n - 1)
    return flat


def gradient_and_laplacian(
    field: LoadedField, coordinates: Float[Tensor, "m d"], lengths: List[float]
) -> Tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Gradient magnitude and Laplacian of a field, whose values are in [-1, 1], per so many units along each axis; 0
    leaves an axis out.

    Of several channels, the root mean square of their gradients' magnitudes and the mean of their Laplacians.
    """
    _, first, second = derivatives(field.network, coordinates, lengths)
    gain = field.description.target["gain"]
    # A field that has diverged leaves holes and not a blank picture.
    gradient = torch.nan_to_num(first.square().sum(0).mean(-1).sqrt() / gain, 0.0, 0.0, 0.0)
    return gradient, torch.nan_to_num(second.mean(-1) / gain, 0.0, 0.0, 0.0)


def _of_colour(values: Float[Tensor, "m c"]) -> Float[Tensor, "m c2"]:
    """Alpha left out: it is part of the picture, not of its error."""
    return values[:, : 1 if values.shape[-1] <= 2 else 3]
