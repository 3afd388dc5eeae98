"""One picture that shows how well a field matches its original."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from winner_ns.export.excerpts import (
    MOST_SHOWN,
    OriginalSurface,
    cut_values,
    cuts,
    displayed,
    distance_colors,
    draw_wave,
    sound_values,
    spectrogram_levels,
    telling_piece,
)
from winner_ns.fields.files import LoadedField
from winner_ns.figures.grids import mean_squared_error, psnr
from winner_ns.kinds import KINDS
from winner_ns.safe_text import plot
from winner_ns.writing import check_output, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from winner_ns.signals import GridSignal, ShapeSignal, Signal

_ORIGINAL, _FIELD, _ERROR = "0.55", "tab:blue", "tab:red"


def write_comparison(path: Path, loaded: LoadedField, signal: Signal) -> None:
    """Writes one PNG: original, field and their difference.

    Images: pixels and the signed error. Sounds: waveforms, a readable piece of them, spectrograms, error. Shapes: both
    surfaces and, on the fitted one, the distance to the original. Volumes: the middle slice along each axis; videos:
    three frames. Other kinds: what their row says. Values are shown, and PSNR counted, where the original lies in
    [-1, 1].

    Args:
        path: a .png.
        loaded: the field.
        signal: what it was fitted to.

    Raises:
        SignalError: another suffix, or the file cannot be written.
    """
    check_output(path, (".png",))
    figure = KINDS[signal.kind].get("comparison")(loaded, signal)
    with replacing(path, loaded.description.data) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")


def comparison_pixels(loaded: LoadedField, signal: Signal) -> UInt8[np.ndarray, "h w 3"]:
    """The same picture as pixels, smaller."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = KINDS[signal.kind].get("comparison")(loaded, signal)
    figure.set_dpi(72)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _figure(width: float, height: float, loaded: LoadedField, verdict: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    description = loaded.description
    figure.suptitle(f"{plot(description.name)}  ·  {plot(description.network.family)}  ·  {verdict}", fontsize=13)
    return figure


def _decibels(original: np.ndarray, fitted: np.ndarray) -> str:
    return f"PSNR {psnr(mean_squared_error(original, fitted)):.2f} dB"


# Grids of two or three axes ----------------------------------------------------------------------------------------


def grid_figure(loaded: LoadedField, signal: GridSignal) -> Figure:
    """Planes of an original and a field, and the signed error."""
    names, planes = cuts(signal)
    pairs = [cut_values(loaded, signal, cut, MOST_SHOWN // len(planes)) for cut in planes]
    errors = [fitted - original for original, fitted in pairs]
    flat = [np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1)]
    height, width = pairs[0][0].shape[:2]
    panel = float(np.clip(4.0 * height / width, 1.2, 6.0))
    figure = _figure(13.0, len(planes) * panel + 0.9, loaded, _decibels(*flat))
    axes = figure.subplots(len(planes), 3, squeeze=False)
    # Alpha is part of the picture, not of its error. In percent of the range.
    errors = [error[..., : 1 if error.shape[-1] == 2 else 3] * 50.0 for error in errors]
    limit = max(float(np.quantile(np.abs(np.concatenate([error.ravel() for error in errors])), 0.995)), 1e-6)
    for row, (name, (original, fitted), error) in enumerate(zip(names, pairs, errors, strict=True)):
        axes[row, 0].imshow(displayed(original), cmap="gray", vmin=0, vmax=1)
        axes[row, 1].imshow(displayed(fitted), cmap="gray", vmin=0, vmax=1)
        if error.shape[-1] == 3:
            shown = axes[row, 2].imshow(np.clip(0.5 + error / (2 * limit), 0.0, 1.0))
        else:
            shown = axes[row, 2].imshow(error[..., 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
        for ax in axes[row]:
            ax.set_xticks([])
            ax.set_yticks([])
        axes[row, 0].set_ylabel(name)
    for ax, title in zip(axes[0], ("original", "field", "field − original"), strict=True):
        ax.set_title(title, fontsize=11)
    if signal.channels >= 3:
        axes[0, 2].set_title(f"field − original (gray: 0, white: {limit:.2g} % of the range)", fontsize=11)
    else:
        bar = figure.colorbar(shown, ax=axes[:, 2], shrink=0.9, pad=0.02, aspect=30)
        bar.set_label("% of the range", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    return figure


# Sounds ------------------------------------------------------------------------------------------------------------


def sound_figure(loaded: LoadedField, signal: GridSignal) -> Figure:
    """Waveforms of an original and a field, a readable piece of them, their spectrograms, and the error."""
    rate = signal.metadata["sample_rate"]
    seconds, originals, fits = sound_values(loaded, signal)
    verdict = _decibels(originals, fits)
    if len(seconds) < signal.shape[0]:
        verdict += f" (first {len(seconds) / rate:.1f} s)"
    if signal.channels > 1:
        verdict += f"  ·  channel 1 of {signal.channels}"
    original, fitted = originals[:, 0], fits[:, 0]

    figure = _figure(13.0, 9.0, loaded, verdict)
    layout = figure.subplot_mosaic([["wave", "error"], ["zoom", "zoom"], ["spectrogram", "field"]])
    loudest = max(float(np.abs(original).max()), 1e-9)
    draw_wave(layout["wave"], seconds, original, _ORIGINAL, "original")
    draw_wave(layout["wave"], seconds, fitted, _FIELD, "field", alpha=0.6)
    layout["wave"].set_title("waveform", fontsize=11)
    layout["wave"].set_ylim(-1.05 * loudest, 1.05 * loudest)
    layout["wave"].legend(loc="upper right", fontsize=9)
    draw_wave(layout["error"], seconds, fitted - original, _ERROR, "")
    layout["error"].set_title("field − original (own scale)", fontsize=11)

    piece = telling_piece(original, rate)
    zoom = layout["zoom"]
    zoom.plot(seconds[piece], original[piece], color=_ORIGINAL, linewidth=3.0, label="original")
    zoom.plot(seconds[piece], fitted[piece], color=_FIELD, linewidth=1.2, label="field")
    zoom.set_title(f"{1000 * len(seconds[piece]) / rate:.3g} ms around the loudest moment", fontsize=11)
    zoom.legend(loc="upper right", fontsize=9)
    for name in ("wave", "error", "zoom"):
        layout[name].margins(x=0)
        layout[name].set_xlabel("seconds", fontsize=9)
        layout[name].grid(True, color="0.92")
        layout[name].set_axisbelow(True)
        layout[name].tick_params(labelsize=8)
    _draw_spectrograms(figure, layout["spectrogram"], layout["field"], original, fitted, rate, float(seconds[0]))
    return figure


def _draw_spectrograms(
    figure: Figure, left: Axes, right: Axes, original: np.ndarray, fitted: np.ndarray, rate: int, start: float
) -> None:
    levels = [spectrogram_levels(wave, rate) for wave in (original, fitted)]
    top = float(levels[0].max())
    for ax, level, title in zip((left, right), levels, ("original", "field"), strict=True):
        extent = (start, start + len(original) / rate, 0.0, rate / 2000.0)
        image = ax.imshow(level, aspect="auto", origin="lower", extent=extent, vmin=top - 90, vmax=top, cmap="magma")
        ax.set_title(f"spectrogram, {title}", fontsize=11)
        ax.set_xlabel("seconds", fontsize=9)
        ax.set_ylabel("kHz", fontsize=9)
        ax.tick_params(labelsize=8)
    figure.colorbar(image, ax=[left, right], pad=0.01).set_label("dB", fontsize=9)


# Shapes ------------------------------------------------------------------------------------------------------------


def shape_figure(loaded: LoadedField, signal: ShapeSignal) -> Figure:
    """The surfaces of an original and a field, and on the fitted one the distance to the original."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    original = OriginalSurface(signal, size=560)
    fitted = original.fitted(loaded)
    verdict = (
        "the field has no surface" if fitted is None else f"mean distance {fitted.mean_distance:.3g} % of the diagonal"
    )
    figure = _figure(12.0, 4.8, loaded, verdict)
    axes = figure.subplots(1, 3)
    for ax in axes:
        ax.set_axis_off()
    axes[0].imshow(original.picture)
    axes[0].set_title("original", fontsize=11)
    if fitted is not None:
        axes[1].imshow(fitted.picture)
        axes[1].set_title("field", fontsize=11)
        surface = ~np.isnan(fitted.distance)
        limit = float(np.quantile(fitted.distance[surface], 0.99)) if surface.any() else 1.0
        scale = ScalarMappable(Normalize(0.0, max(limit, 1e-9)), colormaps["turbo"])
        axes[2].imshow(distance_colors(fitted.distance, fitted.light, scale))
        axes[2].set_title("distance to the original", fontsize=11)
        bar = figure.colorbar(scale, ax=axes[2], shrink=0.8, pad=0.02, extend="max")
        bar.set_label("% of the diagonal", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    return figure
