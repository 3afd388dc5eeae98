"""Sounds as waveforms and spectrograms in the plane z = 0."""

from __future__ import annotations

import math
from functools import cache, cached_property
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.fields.files import LoadedField
from winner_ns.signals import GridSignal
from winner_ns.viewing.axes import HALF_VIEW, Axes, Label
from winner_ns.viewing.controls import Control, Slider
from winner_ns.viewing.player import player
from winner_ns.viewing.signal_view import AS_OPENED, Draw, Framing, SignalView, ViewSettings
from winner_ns.viewing.spectrogram import draw_spectrogram, frequency_labels
from winner_ns.viewing.view import View
from winner_ns.viewing.waveform import BLUE, DARK, RED, Cells, Curve, SamplePeaks, draw_waveform

FINEST = 2**24
"""Single precision, in which fields take time, has so many steps from 0 to 1."""

Values = Callable[[Int[Tensor, " k"]], Float[Tensor, "k c"]]


class AudioView(SignalView[GridSignal]):
    """A sound is a panel in the plane z = 0: x from -1 to 1 is the time that the settings choose, channels lie one
    below the other within |y| <= 0.5. From close by, y is stretched to fit the view, so that the mouse zooms through
    time alone.

    Outputs of each field: field (waveform), error (field minus original, times error_gain), spectrogram. Of the
    original: original (waveform), spectrogram_original. Of two fields: difference, times error_gain.

    Between the samples, a field is the continuous function that it is; the original is known at its samples only, and
    so is the error. From close by, these two are dots, with a thin straight line from one to the next. Where a pixel
    lasts longer than that, it is inked from the smallest to the largest value: of all samples for the original, of
    about 24 moments for fields, of as many samples for errors. Spectrograms are of the samples alone, a field's too,
    from -100 dB to 0 dB relative to a sine of amplitude 1.
    """

    def __init__(self, fields: Mapping[str, LoadedField], original: Optional[GridSignal] = None) -> None:
        super().__init__(fields, original)
        self.heard = ("field",) if original is None else ("field", "original", "error")

    def framing(self, settings: ViewSettings = AS_OPENED) -> Framing:
        return Framing((0.0, 0.0, 1.0), 1.12, HALF_VIEW + 0.03)

    def is_quick(self, beside_training: bool) -> bool:
        return True

    def controls(self) -> Dict[str, Control]:
        samples, seconds = self.signal["shape"][0], (self.signal["shape"][0] - 1) / self.signal["sample_rate"]
        most = round(max(1.0, math.log2(samples / 16)), 2)
        return {
            "time_zoom": Slider("Time zoom (log2)", 0.0, most, 0.05, 0.0),
            "time": Slider("Time (s)", 0.0, seconds, seconds / 2000, seconds / 2),
        }

    def settings(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        last = max(self.signal["shape"][0] - 1, 1) / self.signal["sample_rate"]
        time = min(max(2.0 * values["time"] / last - 1.0, -1.0), 1.0)
        return {"time_center": time, "time_zoom": 2.0 ** values["time_zoom"]}

    def player(self, field: LoadedField, heard: str, settings: ViewSettings) -> str:
        return player(field, self.original, heard, settings)

    def draws(self, view: View, settings: ViewSettings) -> Dict[str, Draw]:
        samples, rate = int(self.signal["shape"][0]), float(self.signal["sample_rate"])
        device, gain = view.origins.device, settings.error_gain

        @cache
        def axes() -> Axes:
            return Axes(view, settings, samples, rate, int(self.signal["channels"]))

        @cache
        def cells() -> Cells:
            return Cells.of_axes(axes())

        def at_times(field: LoadedField) -> Values:
            """A field's values at steps of single precision: 0 is the middle, FINEST the end."""
            return lambda steps: field.normalised((steps / FINEST).float()[:, None])

        def at_samples(field: LoadedField) -> Values:
            # In double precision, as the spacing of an hour of audio is below single precision's resolution at 1.
            return lambda i: field.normalised((i.double() * (2.0 / (samples - 1)) - 1.0).float()[:, None])

        def waveform(curve: Curve, ink: Tuple[float, float, float], largest: float = 1.0) -> Draw:
            labels = [Label(f"{level * largest:g}".replace("-", "\u2212"), level) for level in (0, 1, -1)]
            return lambda: finished(draw_waveform(axes(), cells, curve, ink), labels)

        def spectrogram(values: Values) -> Draw:
            return lambda: finished(draw_spectrogram(axes(), values), frequency_labels(axes()))

        def finished(colour: Tensor, labels: List[Label]) -> Tensor:
            return axes().with_labels(axes().picture(colour), labels).to(device)

        def field_waveform(field: LoadedField) -> Draw:
            return waveform(Curve(at_times(field), -FINEST, FINEST), BLUE)

        def error(field: LoadedField, original: GridSignal) -> Draw:
            fitted = at_samples(field)
            curve = Curve(lambda i: gain * (fitted(i) - original.values(i)), 0, samples - 1, dots=True)
            return waveform(curve, RED, 1 / gain)

        def difference(first: LoadedField, second: LoadedField) -> Draw:
            one, other = at_times(first), at_times(second)
            return waveform(Curve(lambda steps: gain * (one(steps) - other(steps)), -FINEST, FINEST), RED, 1 / gain)

        draws: Dict[str, Draw] = {}
        for name, field in self.fields.items():
            draws[self.named(name, "field")] = field_waveform(field)
        original = self.original
        if original is not None:
            for name, field in self.fields.items():
                draws[self.named(name, "error")] = error(field, original)
        compared = self.compared(settings)
        if compared is not None:
            draws["difference"] = difference(*compared)
        for name, field in self.fields.items():
            draws[self.named(name, "spectrogram")] = spectrogram(at_samples(field))
        if original is not None:
            draws["spectrogram_original"] = spectrogram(original.values)
        draws["accumulation"] = lambda: torch.ones_like(view.origins[:, :1])
        draws["depth"] = lambda: axes().depth.to(device)
        if original is not None:

            def extent(start: Tensor, stop: Tensor) -> Tuple[Tensor, Tensor]:
                return self._peaks.extent(start, stop)  # Which are found when they are first needed.

            draws["original"] = waveform(Curve(original.values, 0, samples - 1, extent, dots=True), DARK)
        return self.with_the_last_field_last(draws, "field")

    @cached_property
    def _peaks(self) -> SamplePeaks:
        assert self.original is not None
        return SamplePeaks(self.original)
