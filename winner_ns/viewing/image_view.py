"""Images, and slices of volumes, frames of videos, as pictures in the plane z = 0."""

from __future__ import annotations

from functools import cache
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.fields.files import LoadedField
from winner_ns.signals import GridSignal
from winner_ns.viewing.background import background_depth
from winner_ns.viewing.colours import sample_colours, signed_colours
from winner_ns.viewing.controls import Control, Dropdown, Slider
from winner_ns.viewing.pieces import in_pieces
from winner_ns.viewing.plane import plane_points
from winner_ns.viewing.signal_view import AS_OPENED, Draw, Framing, SignalView, ViewSettings
from winner_ns.viewing.view import View

DIFFERENCE_STEP = 1 / 16
"""Derivatives are central differences over this part of the original's sample spacing: short enough for the highest
frequency that its samples can hold (0.6 % too small there), long enough for single precision."""


class ImageView(SignalView[GridSignal]):
    """An image lies upright in the plane z = 0, x to the right along its columns and y up against its rows, white
    beside it; so does a slice of what has three axes, across any of them, and of what has a frame rate a frame.

    Outputs of each field: field; error (field minus original at the samples, times error_gain; white or gray where
    there is none); gradient (its magnitude, change of value per sample spacing, values in [-1, 1]); laplacian (signed,
    in the view's own scale). Of the original: original (its nearest samples). All of them at the picture's own
    resolution: from close by the field is the continuous function that it is.
    """

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
        axes, extent, position = self._plane(settings)
        points, depth, meets = plane_points(view.origins, view.directions)
        x, y = points.unbind(-1)
        inside = meets & (y.abs() <= extent[0]) & (x.abs() <= extent[1])
        seen = points[inside]
        coordinates = self._coordinates(seen, axes, position)

        def painted(colours: Callable[[], Tensor], channels: int = 3) -> Tensor:
            picture = torch.ones_like(view.origins) if channels == 3 else torch.zeros_like(depth)
            if len(seen):
                picture[inside] = colours().to(picture)
            return picture

        @cache
        def snapped() -> Tuple[Tensor, Tensor]:
            """Indices and coordinates of the nearest samples."""
            assert self.original is not None
            indices = nearest_samples(self.original, coordinates)
            return indices, self.original.coordinates(indices).to(coordinates)

        @cache
        def original() -> Tensor:
            assert self.original is not None
            return self.original.values(snapped()[0]).to(coordinates)

        def field_picture(field: LoadedField) -> Draw:
            return lambda: painted(lambda: sample_colours(in_pieces(field.normalised, coordinates), seen))

        def error(field: LoadedField) -> Draw:
            def colours() -> Tensor:
                difference = in_pieces(field.normalised, snapped()[1]) - original()
                return signed_colours(_of_colour(difference) / 2 * settings.error_gain)

            return lambda: painted(colours)

        def difference(one: LoadedField, other: LoadedField) -> Draw:
            def colours() -> Tensor:
                values = in_pieces(one.normalised, coordinates) - in_pieces(other.normalised, coordinates)
                return signed_colours(_of_colour(values) / 2 * settings.error_gain)

            return lambda: painted(colours)

        def derivatives(field: LoadedField) -> Tuple[Draw, Draw]:
            spacing = self._spacing(field, axes)

            @cache
            def stencil() -> Tuple[Tensor, Tensor]:
                return finite_differences(lambda at: in_pieces(field.normalised, at), coordinates, axes, spacing)

            def gradient() -> Tensor:
                return painted(lambda: stencil()[0], channels=1)

            def laplacian() -> Tensor:
                def colours() -> Tensor:
                    values = stencil()[1]
                    scale = torch.quantile(values[:: max(1, len(values) // 10_000)].abs(), 0.98).clamp(min=1e-12)
                    return signed_colours(values / scale)

                return painted(colours)

            return gradient, laplacian

        draws: Dict[str, Draw] = {}
        for name, field in self.fields.items():
            draws[self.named(name, "field")] = field_picture(field)
        if self.original is not None:
            for name, field in self.fields.items():
                draws[self.named(name, "error")] = error(field)
        compared = self.compared(settings)
        if compared is not None:
            draws["difference"] = difference(*compared)
        for name, field in self.fields.items():
            draws[self.named(name, "gradient")], draws[self.named(name, "laplacian")] = derivatives(field)
        draws["accumulation"] = lambda: inside[:, None].to(depth)
        draws["depth"] = lambda: torch.where(inside[:, None], depth, background_depth(view.origins, view.directions))
        if self.original is not None:
            draws["original"] = lambda: painted(lambda: sample_colours(original(), seen))
        return self.with_the_last_field_last(draws, "field")

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

    def _spacing(self, field: LoadedField, axes: Tuple[int, int]) -> Tuple[float, float]:
        shape, extent = field.signal["shape"], field.signal["half_extent"]
        down, right = (2 * extent[axis] / max(shape[axis] - 1, 1) or 1.0 for axis in axes)
        return down, right


def nearest_samples(signal: GridSignal, coordinates: Float[Tensor, "m d"]) -> Int[Tensor, " m"]:
    """Flat indices (on the CPU, where the samples are) of those nearest to coordinates within the signal's extent."""
    coordinates = coordinates.cpu()
    flat = torch.zeros(len(coordinates), dtype=torch.long)
    for axis, (n, extent) in enumerate(zip(signal.shape, signal.half_extent, strict=True)):
        position = (coordinates[:, axis].double() / (extent or 1.0) + 1.0) * ((n - 1) / 2)
        flat = flat * n + position.round().long().clamp(0, n - 1)
    return flat


def finite_differences(
    function: Callable[[Float[Tensor, "m d"]], Float[Tensor, "m c"]],
    coordinates: Float[Tensor, "m d"],
    axes: Sequence[int],
    spacing: Sequence[float],
) -> Tuple[Float[Tensor, "m 1"], Float[Tensor, "m 1"]]:
    """Gradient magnitude and Laplacian of a function along some axes, per sample spacing, by central differences.

    Of several channels, the root mean square of their gradients' magnitudes and the mean of their Laplacians.
    """
    middle = function(coordinates)
    squares, laplacian = torch.zeros_like(middle), torch.zeros_like(middle)
    for axis, length in zip(axes, spacing, strict=True):
        step = torch.zeros_like(coordinates[:1])
        step[0, axis] = DIFFERENCE_STEP * length
        after, before = function(coordinates + step), function(coordinates - step)
        squares += ((after - before) / (2 * DIFFERENCE_STEP)) ** 2
        laplacian += (after - 2 * middle + before) / DIFFERENCE_STEP**2
    # A field that has diverged leaves holes and not a blank picture.
    gradient = torch.nan_to_num(squares.mean(-1, keepdim=True).sqrt(), 0.0, 0.0, 0.0)
    return gradient, torch.nan_to_num(laplacian.mean(-1, keepdim=True), 0.0, 0.0, 0.0)


def _of_colour(values: Float[Tensor, "m c"]) -> Float[Tensor, "m c2"]:
    """Alpha left out: it is part of the picture, not of its error."""
    return values[:, : 1 if values.shape[-1] <= 2 else 3]
