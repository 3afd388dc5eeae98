"""Sounds as waveforms and spectrograms in the plane z = 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.fields.files import LoadedField
from winner_ns.safe_text import markdown
from winner_ns.signals import GridSignal
from winner_ns.viewing.axes import HALF_VIEW, Axes, Label, Lettering, level_labels
from winner_ns.viewing.controls import Control, Slider
from winner_ns.viewing.drawing import Drawing, Work
from winner_ns.viewing.kept import Kept
from winner_ns.viewing.legend import Legend, colour_bar, number
from winner_ns.viewing.player import player
from winner_ns.viewing.signal_view import AS_OPENED, Draw, Framing, SignalView, ViewSettings
from winner_ns.viewing.sound_drawing import HALF_SHEET, SoundDrawing
from winner_ns.viewing.spectrogram import QUIETEST, draw_spectrogram, frequency_labels
from winner_ns.viewing.view import View
from winner_ns.viewing.waveform import BLUE, DARK, RED, Cells, Curve, Ink, SamplePeaks, draw_waveform

DECIBELS = [f"\u2212{-QUIETEST:.0f}", f"\u2212{-QUIETEST / 2:.0f}", "0"]
FINEST = 2**24
"""Single precision, in which fields take time, has so many steps from 0 to 1."""

Values = Callable[[Int[Tensor, " k"]], Float[Tensor, "k c"]]
"""Of nodes by their number."""
Asked = Callable[[Values], Values]
"""The same values, asked for in a certain way."""


@dataclass(frozen=True)
class Plot:
    """What is drawn into the panel, and what that means."""

    colours: Callable[[Axes, Asked], Float[Tensor, "m 3"]]
    levels: Callable[[Axes], List[Label]]
    legend: Legend

    def picture(self, axes: Axes, asked: Asked) -> Float[Tensor, "n 3"]:
        """All that the axes' view sees."""
        return axes.with_labels(axes.picture(self.colours(axes, asked)), self.levels(axes))


class AudioView(SignalView[GridSignal]):
    """A sound is a panel in the plane z = 0: x from -1 to 1 is the time that the settings choose, channels lie one
    below the other within |y| <= 0.5. From close by, y is stretched to fit the view, so that the mouse zooms through
    time alone.

    Outputs of each field: field (waveform), both (it over the original's), error (field minus original, times
    error_gain), spectrogram. Of the original: original (waveform), spectrogram_original. Of two fields: difference,
    times error_gain.

    Between the samples, a field is the continuous function that it is; the original is known at its samples only, and
    so is the error. From close by, these two are dots, with a thin straight line from one to the next. Where a pixel
    lasts longer than that, it is inked from the smallest to the largest value: of all samples for the original, of
    about 24 moments for fields, of as many samples for errors. Spectrograms are of the samples alone, a field's too,
    from -100 dB to 0 dB relative to a sine of amplitude 1.
    """

    def __init__(self, fields: Mapping[str, LoadedField], original: Optional[GridSignal] = None) -> None:
        super().__init__(fields, original)
        self._kept = Kept()
        # Of the original, which views of other states of the fields have as well.
        self._peaks = cache(lambda: SamplePeaks(cast(GridSignal, self.original)))
        self.outputs = tuple(self._plots(AS_OPENED))
        seconds = max(self._last, 1) / self._rate
        self.cursor = Slider("Cursor (s)", 0.0, seconds, 1 / self._rate, 0.0)
        self.heard = ("field",) if original is None else ("field", "original", "error")

    def framing(self, settings: ViewSettings = AS_OPENED) -> Framing:
        return Framing((0.0, 0.0, 1.0), HALF_SHEET, HALF_VIEW + 0.03, stacks=True)

    def is_quick(self, beside_training: bool) -> bool:
        return True

    def controls(self) -> Dict[str, Control]:
        seconds = self._last / self._rate
        most = round(max(1.0, math.log2((self._last + 1) / 16)), 2)
        return {
            "time_zoom": Slider("Time zoom (log2)", 0.0, most, 0.05, 0.0),
            "time": Slider("Time (s)", 0.0, seconds, seconds / 2000, seconds / 2),
        }

    def settings(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        last = max(self._last, 1) / self._rate
        time = min(max(2.0 * values["time"] / last - 1.0, -1.0), 1.0)
        return {"time_center": time, "time_zoom": 2.0 ** values["time_zoom"]}

    def reading(self, cursor: float) -> str:
        sample = torch.tensor([min(max(round(cursor * self._rate), 0), self._last)])
        coordinate = (sample.double() * (2.0 / max(self._last, 1)) - 1.0).float()[:, None]
        fitted = {name: field.normalised(coordinate)[0].tolist() for name, field in self.fields.items()}
        lines = [f"**{int(sample) / self._rate:.6g} s**, sample {int(sample)}"]
        original = None if self.original is None else self.original.values(sample)[0].tolist()
        for name, values in fitted.items():
            lines.append(f"{markdown(name)} {_numbers(values)}")
            if original is not None:
                apart = [value - there for value, there in zip(values, original, strict=True)]
                lines[-1] += f" (error {_numbers(apart)})"
        if original is not None:
            lines.append(f"original {_numbers(original)}")
        return "  \n".join(lines)

    def place_of_cursor(self, cursor: float, settings: ViewSettings) -> float:
        return (2 * cursor * self._rate / max(self._last, 1) - 1 - settings.time_center) * settings.time_zoom

    def _point(self, x: float) -> None:
        """Somebody points at a place of the panel, from -1 to 1."""
        seconds = max(self._last, 1) / self._rate
        self.pointed(lambda settings: (settings.time_center + x / settings.time_zoom + 1) / 2 * seconds)

    def player(self, field: LoadedField, heard: str, settings: ViewSettings) -> str:
        return player(field, self.original, heard, settings)

    def draws(self, view: View, settings: ViewSettings) -> Dict[str, Draw]:
        axes = cache(lambda: self._axes(view, settings))

        def draw(plot: Plot) -> Draw:
            return lambda: plot.picture(axes(), lambda values: values).to(view.origins.device)

        draws = {name: draw(plot) for name, plot in self._plots(settings).items()}
        draws["accumulation"] = lambda: torch.ones_like(view.origins[:, :1])
        draws["depth"] = lambda: axes().depth.to(view.origins.device)
        if self.original is not None or len(self.fields) > 1:
            last = self.outputs[-1]
            draws[last] = draws.pop(last)  # The split screen's other half at first.
        return draws

    def drawing(self, output: str, settings: ViewSettings) -> Drawing:
        plot = self._plots(settings)[output]

        def draw(view: View, lettering: Lettering, work: Work) -> Float[Tensor, "n 3"]:
            return plot.picture(self._axes(view, settings, lettering), lambda values: lambda nodes: work(values, nodes))

        def levels(view: View, lettering: Lettering) -> Float[Tensor, "n 4"]:
            axes = self._axes(view, settings, lettering)
            return level_labels(plot.levels(axes), axes.lanes, view.width, view.height, lettering.size)

        return SoundDrawing(draw, levels, self._kept, (output, settings), plot.legend, self._point)

    def of_fields(self, fields: Mapping[str, LoadedField], quick: bool = False) -> AudioView:
        view = cast(AudioView, super().of_fields(fields, quick))
        view._kept = Kept()
        return view

    def _axes(self, view: View, settings: ViewSettings, lettering: Optional[Lettering] = None) -> Axes:
        return Axes(view, settings, self._last + 1, self._rate, int(self.signal["channels"]), lettering)

    def _plots(self, settings: ViewSettings) -> Dict[str, Plot]:
        """What each output shows; nothing is evaluated before it is drawn."""
        samples, gain = self._last + 1, settings.error_gain

        def at_times(field: LoadedField) -> Values:
            """A field's values at steps of single precision: 0 is the middle, FINEST the end."""
            return lambda steps: field.normalised((steps / FINEST).float()[:, None])

        def at_samples(field: LoadedField) -> Values:
            # In double precision, as the spacing of an hour of audio is below single precision's resolution at 1.
            return lambda i: field.normalised((i.double() * (2.0 / (samples - 1)) - 1.0).float()[:, None])

        def extent(start: Tensor, stop: Tensor) -> Tuple[Tensor, Tensor]:
            return self._peaks().extent(start, stop)  # Which are found when they are first needed.

        def curve_of(field: LoadedField, asked: Asked) -> Curve:
            return Curve(asked(at_times(field)), -FINEST, FINEST)

        def curve_of_original(original: GridSignal) -> Curve:
            return Curve(original.values, 0, samples - 1, extent, dots=True)

        def waveforms(curves: Callable[[Asked], Sequence[Tuple[Curve, Ink]]], words: str, largest: float = 1.0) -> Plot:
            def colours(axes: Axes, asked: Asked) -> Float[Tensor, "m 3"]:
                cells = cache(lambda: Cells.of_axes(axes))
                drawn: Optional[Tensor] = None
                for curve, ink in curves(asked):
                    drawn = draw_waveform(axes, cells, curve, ink, drawn)
                assert drawn is not None
                return drawn

            labels = [Label(f"{level * largest:g}".replace("-", "\u2212"), level) for level in (0, 1, -1)]
            return Plot(colours, lambda axes: labels, lambda: markdown(f"{words}; {self._unit}"))

        def spectrogram(values: Values) -> Plot:
            legend = partial(
                colour_bar, "magma", DECIBELS, "level in dB, 0 that of a sine of amplitude 1; frequencies upwards"
            )
            return Plot(lambda axes, asked: draw_spectrogram(axes, asked(values)), frequency_labels, legend)

        def error(field: LoadedField, original: GridSignal) -> Plot:
            def curves(asked: Asked) -> List[Tuple[Curve, Ink]]:
                fitted = asked(at_samples(field))
                return [(Curve(lambda i: gain * (fitted(i) - original.values(i)), 0, samples - 1, dots=True), RED)]

            return waveforms(curves, "field \u2212 original", 1 / gain)

        def difference(first: LoadedField, second: LoadedField) -> Plot:
            def curves(asked: Asked) -> List[Tuple[Curve, Ink]]:
                one, other = asked(at_times(first)), asked(at_times(second))
                return [(Curve(lambda steps: gain * (one(steps) - other(steps)), -FINEST, FINEST), RED)]

            names = settings.difference or list(self.fields)[:2]
            return waveforms(curves, f"{names[0]} \u2212 {names[1]}", 1 / gain)

        def alone(name: str) -> Plot:
            return waveforms(lambda asked: [(curve_of(self.fields[name], asked), BLUE)], called(name))

        def both(name: str, original: GridSignal) -> Plot:
            return waveforms(
                lambda asked: [(curve_of_original(original), DARK), (curve_of(self.fields[name], asked), BLUE)],
                f"{called(name)} in blue over the original in gray",
            )

        def called(name: str) -> str:
            return name if len(self.fields) > 1 else "the field"

        plots: Dict[str, Plot] = {}
        for name in self.fields:
            plots[self.named(name, "field")] = alone(name)
        original = self.original
        if original is not None:
            for name in self.fields:
                plots[self.named(name, "both")] = both(name, original)
            for name, field in self.fields.items():
                plots[self.named(name, "error")] = error(field, original)
        compared = self.compared(settings)
        if compared is not None:
            plots["difference"] = difference(*compared)
        for name, field in self.fields.items():
            plots[self.named(name, "spectrogram")] = spectrogram(at_samples(field))
        if original is not None:
            plots["spectrogram_original"] = spectrogram(original.values)
            plots["original"] = waveforms(lambda asked: [(curve_of_original(original), DARK)], "the original")
        return self.with_the_last_field_last(plots, "field")

    @property
    def _last(self) -> int:
        """The last sample's number."""
        return int(self.signal["shape"][0]) - 1

    @property
    def _rate(self) -> float:
        return float(self.signal["sample_rate"])

    @property
    def _unit(self) -> str:
        """What amplitudes are."""
        loudest = self.signal["value_scale"]
        if "full_scale" in self.signal:
            return f"1 is {number(loudest / self.signal['full_scale'])} of the file's full scale"
        return f"1 is {number(loudest)} in the original"


def _numbers(values: Sequence[float]) -> str:
    """Of all channels."""
    return ", ".join(number(value) for value in values)
