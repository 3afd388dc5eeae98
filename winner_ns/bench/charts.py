"""The report's charts as SVG: curves over steps and seconds, sweeps, heat maps, what lies between the samples."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float

from winner_ns.bench.metrics import title_of
from winner_ns.bench.preset import Preset, swept_field
from winner_ns.bench.records import Record, Summary, names, summarise
from winner_ns.safe_text import plot
from winner_ns.writing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (
    "#4b5563", "#c2410c", "#d97706", "#1d4ed8", "#15803d", "#7c3aed", "#0891b2", "#be185d", "#65a30d", "#92400e",
    "#0f766e", "#e879f9",
)  # fmt: skip
"""Colours of the fields that are shown, in their order."""
OTHERS = "#cccccc"
"""Gray of the fields that are not."""
CLOSE = 0.95
"""Intersection over union from which curves can no longer be told apart on an axis from 0 to 1."""
SMALLEST = 1e-5
"""Of 1 - IoU that is drawn: below one of the points that it is estimated from."""
WITHIN = "IoU within the bounding box, estimated"
"""What curves of shapes show: the tables' IoU also counts what the field believes to be inside far from the shape."""


@dataclass(frozen=True)
class Chart:
    """A drawing, and what it shows."""

    title: str
    svg: bytes


def charts_of(preset: Preset, records: Sequence[Record]) -> Dict[str, Chart]:
    """What a benchmark has to draw, by names that serve as file names: what was swept, what lies between the samples,
    and curves of the training on each signal."""
    drawn: Dict[str, Chart] = {}
    varied = [key for key, values in preset.sweep.items() if len(values) > 1]
    shown = shown_fields(preset, names(records, "field"))
    swept, between = sweep_chart(preset, records), between_samples_chart(records, shown)
    if swept is not None:
        drawn["-".join(varied)] = Chart(f"{title_of(preset.metrics[0])} over {' and '.join(varied)}", swept)
    if between is not None:
        drawn["between-samples"] = Chart("Between the samples", between)
    for signal in names(records, "signal"):
        metric = curve_metric([record for record in records if record["signal"] == signal])
        if metric:
            title = f"Training on {signal}" + (f": {WITHIN}" if metric == "iou" else "")
            drawn[f"curves-{signal}"] = Chart(title, curves(records, signal, shown))
    return drawn


def shown_fields(preset: Preset, fields: Sequence[str]) -> List[str]:
    """Fields that have a colour and pictures: all, or of a long sweep the preset's own and some that are spread."""
    if len(fields) <= len(PALETTE):
        return list(fields)
    own = [field for field in fields if field in preset.fields][: len(PALETTE)]
    swept = [field for field in fields if field not in own]
    left = len(PALETTE) - len(own)
    spread = {swept[round(k * (len(swept) - 1) / max(left - 1, 1))] for k in range(left)} if swept else set()
    return [field for field in fields if field in own or field in spread]


def write_charts(folder: Path, charts: Mapping[str, Chart]) -> None:
    """Writes each chart to an .svg of its name, and takes away those of an earlier report that there are no more.

    Raises:
        SignalError: a file cannot be written.
    """
    for name, chart in charts.items():
        with replacing(folder / f"{name}.svg") as temporary:
            temporary.write_bytes(chart.svg)
    for old in folder.glob("*.svg"):
        if old.stem not in charts:
            old.unlink()


def colours(fields: Sequence[str]) -> Dict[str, str]:
    """A colour for each field, of which there are to be no more than in PALETTE."""
    return {field: PALETTE[number % len(PALETTE)] for number, field in enumerate(fields)}


def curve_metric(records: Sequence[Record]) -> str:
    """What the curves show of these records: PSNR at withheld samples, or the first figure; "" where there is none."""
    known = dict.fromkeys(name for record in records for name in record["curve"] if name not in ("steps", "seconds"))
    return "psnr_heldout" if "psnr_heldout" in known else next(iter(known), "")


def curves(records: Sequence[Record], signal: str, shown: Sequence[str]) -> bytes:
    """A figure over the steps and over the seconds of training: the mean over seeds, and the range they span; fields
    that are not among those shown are thin and gray. Where an IoU ends close to 1, it is what is missing of it that is
    drawn, on a logarithmic axis."""
    metric = curve_metric([record for record in records if record["signal"] == signal])
    fields = names(records, "field")
    ends = [found[2][-1] for field in fields if (found := _mean_curve(records, signal, field, "steps", metric))]
    close = metric == "iou" and any(end > CLOSE for end in ends)
    figure, axes = _figure(5.3, 3.5, 2)
    for axis, x in zip(axes, ("steps", "seconds"), strict=True):
        for field in fields:
            found = _mean_curve(records, signal, field, x, metric)
            if found is None:
                continue
            at, *values = found
            # Nothing may be missing of the few points, which a logarithmic axis has no place for.
            low, mean, high = [np.maximum(1 - each, SMALLEST) for each in values] if close else values
            if field not in shown:
                axis.plot(at, mean, color=OTHERS, linewidth=0.6, zorder=1)
                continue
            color = colours(shown)[field]
            axis.plot(at, mean, color=color, label=plot(field), linewidth=1.6)
            axis.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)
        axis.set_xlabel("step" if x == "steps" else "seconds of training")
        axis.set_yscale("log" if close else "linear")
    axes[0].set_ylabel(title_of(metric) if metric != "iou" else f"1 − {WITHIN}" if close else WITHIN, fontsize=9)
    axes[1].tick_params(labelleft=False)
    axes[1].set_ylim(axes[0].get_ylim())
    axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _svg(figure)


def _mean_curve(
    records: Sequence[Record], signal: str, field: str, x: str, metric: str
) -> Optional[Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Where, and lowest, mean and highest over the seeds."""
    found = [r["curve"] for r in records if r["signal"] == signal and r["field"] == field and metric in r["curve"]]
    if not found:
        return None
    # In Python, infinite and undefined values are None.
    values = np.array([[np.nan if y is None else y for y in curve[metric]] for curve in found], dtype=float)
    at = np.mean([curve[x] for curve in found], axis=0)
    return at, values.min(axis=0), values.mean(axis=0), values.max(axis=0)


def sweep_chart(preset: Preset, records: Sequence[Record]) -> Optional[bytes]:
    """The first metric over what was swept: a line for each signal, or of two settings a heat map for each signal.
    None where nothing was swept."""
    varied = [key for key, values in preset.sweep.items() if len(values) > 1]
    if not varied:
        return None
    signals, metric = names(records, "signal"), preset.metrics[0]
    if len(varied) == 1:
        (key,) = varied
        figure, (axis,) = _figure(7.0, 3.6, 1)
        for number, signal in enumerate(signals):
            found = [(x, summarise(records, signal, _swept(preset, {key: x}), metric)) for x in preset.sweep[key]]
            at, means, deviations = zip(
                *[(x, each.mean, each.deviation) for x, each in found if each] or [[np.nan] * 3]
            )
            color = PALETTE[(number + 1) % len(PALETTE)]
            axis.errorbar(at, means, deviations, color=color, label=plot(signal), marker="o", markersize=4, capsize=2)
            for place, field in enumerate(preset.fields):
                own = [r for r in records if (r["signal"], r["field"]) == (signal, field)]
                _mark_law(axis, own, key, metric, below=place % 2 == 0)
        smallest = min((x for x in preset.sweep[key] if x > 0), default=1.0)
        axis.set_xscale("symlog", linthresh=smallest)
        axis.set_xlabel(key)
        axis.set_ylabel(title_of(metric))
        axis.legend(frameon=False)
        return _svg(figure)
    down, across = varied
    figure, axes = _figure(4.8, 3.8, len(signals))
    for axis, signal in zip(axes, signals, strict=True):
        values = np.array(
            [
                [
                    _mean(summarise(records, signal, _swept(preset, {down: a, across: b}), metric))
                    for b in preset.sweep[across]
                ]
                for a in preset.sweep[down]
            ]
        )
        _heat_map(axis, values, title_of(metric))
        axis.set_xticks(range(values.shape[1]), [f"{x:g}" for x in preset.sweep[across]])
        axis.set_yticks(range(values.shape[0]), [f"{x:g}" for x in preset.sweep[down]])
        axis.set_xlabel(across)
        axis.set_ylabel(down)
        axis.set_title(plot(signal), loc="left", fontsize=10)
        for field in preset.fields:
            own = [r for r in records if (r["signal"], r["field"]) == (signal, field)]
            _mark_law_on_map(axis, own, preset.sweep[across], preset.sweep[down], across, down)
    return _svg(figure)


def _mark_law_on_map(
    axis: Axes, records: Sequence[Record], columns: Sequence[float], rows: Sequence[float], across: str, down: str
) -> None:
    """Where a law sets both settings, between the cells of their nearest values."""
    noise = (records[0]["noise"] or {}) if records else {}
    if noise.get(across) is None or noise.get(down) is None or not (noise[across] or noise[down]):
        return
    place = [
        float(np.interp(noise[key], sorted(values), np.argsort(values)))
        for key, values in ((across, columns), (down, rows))
    ]
    axis.plot(*place, "*", color="white", markeredgecolor="black", markersize=11, zorder=3)
    axis.annotate(
        plot(records[0]["field"]), place, (8, 6), textcoords="offset points", fontsize=7, color="black",
        bbox={"boxstyle": "round,pad=0.15", "color": "white", "alpha": 0.8},
    )  # fmt: skip


def _mark_law(axis: Axes, records: Sequence[Record], key: str, metric: str, below: bool) -> None:
    """Where a law sets what was swept, and what comes of it; the other settings are its own, too."""
    if records and (records[0]["noise"] or {}).get(key):
        field = records[0]["field"]
        place = records[0]["noise"][key], _mean(summarise(records, None, field, metric))
        axis.plot(*place, "*", color="0.2", markersize=9, zorder=3)
        axis.annotate(plot(field), place, (7, -9 if below else 5), textcoords="offset points", fontsize=7, color="0.2")


def _heat_map(axis: Axes, values: Float[np.ndarray, "rows columns"], title: str) -> None:
    """A colour and a number for each cell."""
    drawn = axis.imshow(values, origin="lower", aspect="auto", cmap="magma")
    axis.grid(False)
    axis.spines[:].set_visible(False)
    known = values[np.isfinite(values)]
    middle = (known.min() + known.max()) / 2 if len(known) else 0.0
    for row, column in np.argwhere(np.isfinite(values)):
        value = values[row, column]
        color = "white" if value < middle else "black"
        axis.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color=color)
    axis.figure.colorbar(drawn, ax=axis, label=title)


def _mean(summary: Optional[Summary]) -> float:
    return np.nan if summary is None else summary.mean


def _swept(preset: Preset, values: Dict[str, float]) -> str:
    """The name that `cells_of` gives to a field of the sweep."""
    chosen = {key: values.get(key, given[0]) for key, given in preset.sweep.items()}
    return swept_field(chosen).replace(":", ",", 1)


def between_samples_chart(records: Sequence[Record], shown: Sequence[str]) -> Optional[bytes]:
    """PSNR at withheld samples over PSNR at fitted ones, a point for each cell, a panel for each signal; fields that
    are not among those shown are gray. None where no samples are withheld."""
    if not any(record["figures"].get("psnr_heldout") is not None for record in records):
        return None
    signals, fields = names(records, "signal"), names(records, "field")
    figure, axes = _figure(3.6, 3.6, len(signals), columns=3, legend=1.6)
    for axis, signal in zip(axes, signals, strict=True):
        of_signal = [r["figures"] | {"field": r["field"]} for r in records if r["signal"] == signal]
        for field in fields:
            points = [(f["psnr"], f["psnr_heldout"]) for f in of_signal if f["field"] == field]
            known = [(a, b) for a, b in points if a is not None and b is not None]
            if known and field in shown:
                axis.plot(*zip(*known), "o", color=colours(shown)[field], label=plot(field), markersize=5)
            elif known:
                axis.plot(*zip(*known), "o", color=OTHERS, markersize=3, zorder=1)
        low, high = max(axis.get_xlim()[0], axis.get_ylim()[0]), min(axis.get_xlim()[1], axis.get_ylim()[1])
        if low < high:
            axis.plot([low, high], [low, high], color="0.7", linewidth=1, zorder=0)
        classical = [f["psnr_interpolation"] for f in of_signal if f.get("psnr_interpolation") is not None]
        if classical:
            axis.axhline(float(np.mean(classical)), color="0.5", linestyle="--", linewidth=1, zorder=0)
            axis.text(0.02, float(np.mean(classical)), "classical", fontsize=7, color="0.4", va="bottom",
                      transform=axis.get_yaxis_transform())  # fmt: skip
        axis.set_title(plot(signal), loc="left", fontsize=10)
        axis.set_xlabel("PSNR at fitted samples, dB")
    for axis in axes[::3]:
        axis.set_ylabel("at withheld samples, dB")
    points = {label: point for axis in axes for point, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(points.values(), points.keys(), frameon=False, fontsize=8, loc="outside right center")
    return _svg(figure)


def _figure(
    width: float, height: float, count: int, columns: int = 2, legend: float = 0.0
) -> "Tuple[Figure, List[Axes]]":
    """Panels of that size in inches, in rows of so many, and as much room for a legend beside them."""
    from matplotlib.figure import Figure

    columns = min(count, columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns + legend, height * rows), layout="constrained")
    figure.get_layout_engine().set(wspace=0.05)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in panels[count:]:
        axis.remove()
    for axis in panels[:count]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
    return figure, panels[:count]


def _svg(figure: Any) -> bytes:
    import matplotlib

    file = io.BytesIO()
    # Letters as text, and the same bytes for the same numbers.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "winner_ns"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
