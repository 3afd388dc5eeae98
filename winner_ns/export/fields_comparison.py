"""One picture of several fields of the same signal, side by side with the original."""

from __future__ import annotations

import json
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, List, Mapping, Sequence, Tuple

import numpy as np
from jaxtyping import Float

from winner_ns.errors import SignalError
from winner_ns.export.excerpts import (
    MOST_SHOWN,
    OriginalSurface,
    cut_values,
    displayed,
    distance_colors,
    draw_wave,
    single_cut,
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

PANEL = 2.9
"""Inches across a panel."""
DOTS_PER_INCH = 150
PIECE = 150
"""Most samples of the piece of a sound that is shown close up."""
SMALLEST_ZOOMED = 64
"""Pixels along the longer side from which on a detail is shown enlarged."""

_ORIGINAL, _ERROR, _FRAME = "0.55", "tab:red", "#ff7f0e"


def write_fields_comparison(path: Path, fields: Mapping[str, LoadedField], signal: Signal) -> None:
    """Writes one PNG: the original in the first column, each field with its error and figure in one of the others.

    Images, and the middle slice or frame of volumes and videos: pixels, a detail with contrast in which the fields
    differ, and the absolute error (mean of the colour channels). Sounds: the loudest moment, the error over time, the
    spectrogram. Shapes: the surface, and its distance to the original. Errors have the same scale in all columns.
    PSNR is that of what is shown, with the range 2 of values in [-1, 1]; the best figure is set in bold.

    Args:
        path: a .png.
        fields: by the names that stand over the columns, at least one.
        signal: what all of them were fitted to.

    Raises:
        SignalError: another suffix, fields of another signal, or the file cannot be written.
    """
    check_output(path, (".png",))
    described = json.loads(json.dumps(signal.describe()))
    for name, loaded in fields.items():
        if loaded.kind != signal.kind or json.loads(json.dumps(loaded.signal)) != described:
            raise SignalError(
                name, f"was not fitted to {signal.path.name} as it is now", "compare fields of one and the same signal"
            )
    figure = KINDS[signal.kind].get("fields_comparison")(fields, signal)
    with replacing(path, next(iter(fields.values())).description.data) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")


def _grid(rows: Sequence[float], columns: int) -> Tuple[Figure, np.ndarray]:
    """A figure of panels, with rows of these heights in inches."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (columns * PANEL + 0.4, sum(rows) + 0.1 * len(rows) + 0.5)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout=layout)
    return figure, figure.subplots(len(rows), columns, squeeze=False, height_ratios=rows)


def _titles(
    axes: Sequence[Axes], original: str, names: Sequence[str], figures: Sequence[str], errors: Sequence[float]
) -> None:
    """The original's file over its column, and over the others name and figure, in bold where the error is least."""
    finite = [error for error in errors if math.isfinite(error)]
    best = min(finite) if len(set(errors)) > 1 and finite else None
    lines = ["\n".join(map(plot, textwrap.wrap(name, 30))) for name in names]
    most = max(line.count("\n") for line in lines)
    axes[0].set_title("original\n" + "\n" * most + plot(textwrap.shorten(original, 34, placeholder="…")), fontsize=11)
    for ax, line, figure, error in zip(axes[1:], lines, figures, errors, strict=True):
        padding = "\n" * (most - line.count("\n"))
        ax.set_title(f"{line}\n{padding}{figure}", fontsize=11, fontweight="bold" if error == best else "normal")


def _decibels(errors: Sequence[float]) -> List[str]:
    """What is said of mean squared errors."""
    return [f"PSNR {psnr(error):.2f} dB" if math.isfinite(error) else "not finite" for error in errors]


def _limit(errors: Sequence[np.ndarray], quantile: float) -> float:
    """The end of a colour scale for all errors: a single field that is far off does not hide the others'."""
    finite = [error[np.isfinite(error)] for error in errors]
    limits = [float(np.quantile(values, quantile)) for values in finite if len(values)]
    return max(float(np.median(limits)), 1e-6) if limits else 1.0


def _colour_bar(ax: Axes, scale: Any, label: str) -> None:
    """A colour bar at the right edge of an empty panel, beside the panels that it belongs to."""
    inside = ax.inset_axes((0.86, 0.04, 0.07, 0.92))
    bar = ax.figure.colorbar(scale, cax=inside, extend="max")
    bar.ax.yaxis.set_ticks_position("left")
    bar.ax.yaxis.set_label_position("left")
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    ax.set_axis_off()


# Grids of two or three axes ----------------------------------------------------------------------------------------


def planes_figure(fields: Mapping[str, LoadedField], signal: GridSignal) -> Figure:
    """A plane of an original and of several fields, a detail of it, and the absolute error."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shown, plane = single_cut(signal)
    pairs = {name: cut_values(loaded, signal, plane, MOST_SHOWN) for name, loaded in fields.items()}
    original = next(iter(pairs.values()))[0]
    fits = [fitted for _, fitted in pairs.values()]
    # Alpha is part of the picture, not of its error. In percent of the range.
    colours = 1 if original.shape[-1] == 2 else 3
    errors = [50.0 * np.abs(fitted - original)[..., :colours].mean(axis=-1) for fitted in fits]
    height, width = original.shape[:2]
    panel = float(np.clip(PANEL * height / width, 0.5, 2 * PANEL))
    zoomed = max(height, width) >= SMALLEST_ZOOMED
    figure, axes = _grid([panel] * (3 if zoomed else 2), 1 + len(fields))
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
    for ax, values in zip(axes[0], (original, *fits), strict=True):
        ax.imshow(displayed(values), cmap="gray", vmin=0, vmax=1)
    squared = [mean_squared_error(original, fitted) for fitted in fits]
    name = ", ".join(filter(None, (signal.path.name, shown)))
    _titles(axes[0], name, list(fields), _decibels(squared), squared)
    if zoomed:
        _draw_detail(axes[:2], _most_telling(original, errors), (original, *fits))
    scale = ScalarMappable(Normalize(0.0, _limit(errors, 0.995)), "magma")
    for ax, error in zip(axes[-1, 1:], errors, strict=True):
        ax.imshow(error, cmap=scale.cmap, norm=scale.norm)
    _colour_bar(axes[-1, 0], scale, "error, % of the range")
    return figure


def _most_telling(
    original: Float[np.ndarray, "h w c"], errors: Sequence[Float[np.ndarray, "h w"]]
) -> Tuple[slice, slice]:
    """A window of a quarter of the picture's sides, full of contrast and where the fields' errors differ most."""
    from scipy.ndimage import uniform_filter

    height, width = original.shape[:2]
    sides = (max(height // 4, 1), max(width // 4, 1))
    gray = original.mean(axis=-1, dtype=np.float64)

    def mean_around(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        return uniform_filter(values, sides)  # pyright: ignore[reportArgumentType] (takes a size for each axis)

    contrast = np.sqrt(np.maximum(mean_around(gray**2) - mean_around(gray) ** 2, 0.0))
    local = np.stack([mean_around(error) for error in errors if np.isfinite(error).all()] or [contrast])
    telling = contrast * (np.ptp(local, axis=0) if len(local) > 1 else local[0])
    row, column = np.unravel_index(int(telling.argmax()), telling.shape)
    # The window around the place, moved inside the picture.
    top = int(np.clip(row - sides[0] // 2, 0, height - sides[0]))
    left = int(np.clip(column - sides[1] // 2, 0, width - sides[1]))
    return slice(top, top + sides[0]), slice(left, left + sides[1])


def _draw_detail(axes: np.ndarray, window: Tuple[slice, slice], pictures: Sequence[np.ndarray]) -> None:
    """Frames the window in the first row's pictures and shows it enlarged in the second's."""
    from matplotlib.patches import Rectangle

    rows, columns = window
    corner = (columns.start - 0.5, rows.start - 0.5)
    for whole, detail, values in zip(axes[0], axes[1], pictures, strict=True):
        size = (columns.stop - columns.start, rows.stop - rows.start)
        whole.add_patch(Rectangle(corner, *size, fill=False, edgecolor=_FRAME, linewidth=1.2))
        detail.imshow(displayed(values[window]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        for spine in detail.spines.values():
            spine.set(edgecolor=_FRAME, linewidth=1.5)


# Sounds ------------------------------------------------------------------------------------------------------------


def sounds_figure(fields: Mapping[str, LoadedField], signal: GridSignal) -> Figure:
    """The loudest moment of an original and of several fields, the error over time, and spectrograms."""
    rate = signal.metadata["sample_rate"]
    values = {name: sound_values(loaded, signal) for name, loaded in fields.items()}
    seconds, originals, _ = next(iter(values.values()))
    squared = [mean_squared_error(originals, fitted) for _, _, fitted in values.values()]
    # One channel is shown, all count.
    original, fits = originals[:, 0], [fitted[:, 0] for _, _, fitted in values.values()]
    errors = [fitted - original for fitted in fits]
    piece = telling_piece(original, rate, most=PIECE)
    milliseconds = 1000.0 * (seconds[piece] - seconds[piece][0])

    figure, axes = _grid([1.6, 1.2, 1.6], 1 + len(fields))
    _titles(axes[0], signal.path.name, list(fields), _decibels(squared), squared)
    for ax in axes[0]:
        ax.plot(milliseconds, original[piece], color=_ORIGINAL, linewidth=2.2)
    for ax, fitted in zip(axes[0, 1:], fits, strict=True):
        ax.plot(milliseconds, fitted[piece], color="tab:blue", linewidth=1.0)
    _same_height(axes[0], 1.15 * float(np.abs(original[piece]).max()))
    draw_wave(axes[1, 0], seconds, original, _ORIGINAL, "")
    _same_height(axes[1, :1], 1.05 * float(np.abs(original).max()))
    for ax, error in zip(axes[1, 1:], errors, strict=True):
        draw_wave(ax, seconds, error, _ERROR, "")
        ax.text(0.02, 0.95, "field − original", transform=ax.transAxes, va="top", fontsize=8)
    _same_height(axes[1, 1:], 1.25 * max(np.abs(error[np.isfinite(error)]).max(initial=0.0) for error in errors))
    levels = [spectrogram_levels(np.nan_to_num(wave), rate) for wave in (original, *fits)]
    top = float(levels[0].max())
    extent = (seconds[0], seconds[0] + len(seconds) / rate, 0.0, rate / 2000.0)
    for ax, level in zip(axes[2], levels, strict=True):
        drawn = ax.imshow(level, aspect="auto", origin="lower", extent=extent, vmin=top - 90, vmax=top, cmap="magma")
    bar = figure.colorbar(drawn, ax=list(axes[2]), pad=0.005, aspect=14)
    bar.set_label("dB", fontsize=9)
    bar.ax.tick_params(labelsize=8)

    start = seconds[piece][0]
    for row, label in zip(axes, (f"ms after {start:.3f} s", "seconds", "seconds"), strict=True):
        for ax in row:
            ax.margins(x=0)
            ax.tick_params(labelsize=8)
            ax.set_xlabel(label, fontsize=9)
    for ax in (*axes[0, 1:], *axes[1, 2:], *axes[2, 1:]):
        ax.set_yticklabels([])
    axes[0, 0].set_ylabel("amplitude", fontsize=9)
    axes[1, 0].set_ylabel("amplitude", fontsize=9)
    axes[2, 0].set_ylabel("kHz", fontsize=9)
    return figure


def _same_height(axes: Iterable[Axes], height: float) -> None:
    for ax in axes:
        ax.set_ylim(-max(height, 1e-9), max(height, 1e-9))
        ax.grid(True, color="0.92")
        ax.set_axisbelow(True)


# Shapes ------------------------------------------------------------------------------------------------------------


def surfaces_figure(fields: Mapping[str, LoadedField], signal: ShapeSignal) -> Figure:
    """The surfaces of an original and of several fields, and their distances to the original."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    original = OriginalSurface(signal, size=round(PANEL * DOTS_PER_INCH * 1.2))
    fits = [original.fitted(loaded) for loaded in fields.values()]
    means = [math.inf if fitted is None else fitted.mean_distance for fitted in fits]
    verdicts = ["no surface" if fitted is None else f"mean distance {fitted.mean_distance:.3g} %" for fitted in fits]
    figure, axes = _grid([PANEL, PANEL], 1 + len(fields))
    _titles(axes[0], signal.path.name, list(fields), verdicts, means)
    for ax in axes.flat:
        ax.set_axis_off()
    axes[0, 0].imshow(original.picture)
    scale = ScalarMappable(Normalize(0.0, _limit([fitted.distance for fitted in fits if fitted], 0.98)), "turbo")
    for column, fitted in zip(axes.T[1:], fits, strict=True):
        if fitted is not None:
            column[0].imshow(fitted.picture)
            column[1].imshow(distance_colors(fitted.distance, fitted.light, scale))
    _colour_bar(axes[1, 0], scale, "distance, % of the diagonal")
    return figure
