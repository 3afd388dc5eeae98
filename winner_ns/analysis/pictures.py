"""Pictures of an analysis, as for a paper: spectra, pre-activations and gradients, the tangent kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List

import numpy as np

from winner_ns.analysis.analysis import Analysis, StateAnalysis
from winner_ns.analysis.spectra import TARGET
from winner_ns.fields.layers import OUTPUT
from winner_ns.safe_text import plot
from winner_ns.spectrum.expectation import rounded
from winner_ns.writing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_FREQUENCY = "angular frequency (rad/unit)"
_TARGET = "tab:red"
_STATES = {"initial": "tab:blue", "trained": "tab:orange"}
DECADES = 6
"""Of power density that are shown."""
MOST_BANDS = 128
"""Bands of frequencies that eigenvectors' power is drawn in."""
LEAST_SHARE = 1e-4
"""Of an eigenvector's power: less is shown as white."""


def write_pictures(folder: Path, analysis: Analysis, file_format: str) -> List[Path]:
    """Writes spectra, pre-activations and kernel, as PNG or SVG, into a folder.

    Raises:
        SignalError: a file cannot be written.
    """
    paths = picture_paths(folder, file_format)
    for path, drawn in zip(paths, _figures().values(), strict=True):
        with replacing(path) as temporary:
            drawn(analysis).savefig(temporary, format=file_format, dpi=130, facecolor="white")
    return paths


def picture_paths(folder: Path, file_format: str) -> List[Path]:
    """The files that `write_pictures` writes."""
    return [folder / f"{name}.{file_format}" for name in _figures()]


def _figures() -> Dict[str, Callable[[Analysis], Figure]]:
    return {"spectra": spectra_figure, "pre-activations": pre_activations_figure, "kernel": kernel_figure}


def spectra_figure(analysis: Analysis) -> Figure:
    """Power density of each layer, the output and the target, and their running sums; a column for each state."""
    states = analysis.states
    figure = _figure(6.2 * len(states), 6.6)
    rows = figure.subplots(2, len(states), squeeze=False, sharex=True, sharey="row")
    for column, (name, state) in enumerate(states.items()):
        spectra, (upper, lower) = state.spectra, rows[:, column]
        styles = _line_styles(_drawn_layers(analysis))
        for line, style in styles.items():
            upper.loglog(spectra.frequency, spectra.density[line], **style)
            lower.semilogx(spectra.frequency, spectra.running[line], **style)
        for axes in (upper, lower):
            axes.axvline(analysis.omega, color=_TARGET, linestyle=":", linewidth=1.2, label="target's centroid Ω")
            _tidy(axes)
        upper.set_title(
            f"{_state_title(analysis, name)}: output {rounded(spectra.band[OUTPUT])} rad/unit rms", loc="left"
        )
        lower.set_xlabel(_FREQUENCY)
        lower.set_ylim(-0.02, 1.02)
    shown = [s.spectra.density[line].max() for s in states.values() for line in (OUTPUT, TARGET)]
    drawn = [*_drawn_layers(analysis), OUTPUT, TARGET]
    top = max(s.spectra.density[line].max() for s in states.values() for line in drawn)
    rows[0, 0].set_ylim(min(shown) / 10**DECADES, top * 3)
    frequency = states["initial"].spectra.frequency
    if frequency[-1] < 100 * frequency[0]:
        for axes in rows[-1]:
            _label_more(axes)
    rows[0, 0].set_ylabel("power spectral density\n(value² per rad/unit)")
    rows[1, 0].set_ylabel("share of the power below")
    figure.legend(*rows[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    _title(figure, analysis)
    return figure


def pre_activations_figure(analysis: Analysis) -> Figure:
    """Histograms of each layer's pre-activations beside theory, a row for each state, and the gradients' norms."""
    states = analysis.states
    names = [name for name in states["initial"].statistics if name != OUTPUT]
    figure = _figure(2.9 * (len(names) + 1), 2.9 * len(states) + 0.6)
    grid = figure.add_gridspec(len(states), len(names) + 1)
    for row, (state_name, state) in enumerate(states.items()):
        for column, name in enumerate(names):
            axes = figure.add_subplot(grid[row, column])
            layer = state.statistics[name]
            axes.stairs(layer.histogram, layer.edges, fill=True, color=_STATES[state_name], alpha=0.45)
            title = f"{name}: std {layer.std:.3g}"
            if layer.theory is not None:
                axes.plot((layer.edges[1:] + layer.edges[:-1]) / 2, layer.expected, color="black", linewidth=1.1)
                title += f", theory {layer.theory.std:.3g}"
            axes.set_title(title, loc="left", fontsize=9)
            axes.set_ylabel(f"density, {state_name} field" if column == 0 else "")
            axes.set_ylim(bottom=0)
            if row == len(states) - 1:
                axes.set_xlabel("pre-activation")
            _tidy(axes)
    axes = figure.add_subplot(grid[:, -1])
    layers = list(states["initial"].gradients.norm)
    for state_name, state in states.items():
        axes.semilogy(layers, list(state.gradients.norm.values()), "o-", color=_STATES[state_name], label=state_name)
    norms = [norm for state in states.values() for norm in state.gradients.norm.values() if norm > 0]
    if norms:
        axes.set_ylim(10.0 ** np.floor(np.log10(min(norms)) - 0.1), 10.0 ** np.ceil(np.log10(max(norms)) + 0.1))
    axes.set_title("gradient of the loss", loc="left", fontsize=9)
    axes.set_ylabel("Euclidean norm")
    axes.tick_params(axis="x", rotation=60)
    axes.legend(frameon=False)
    _tidy(axes)
    _title(figure, analysis)
    return figure


def kernel_figure(analysis: Analysis) -> Figure:
    """The tangent kernel's eigenvalues, the target's energy along its eigenvectors, and the eigenvectors' spectra."""
    states = analysis.states
    figure = _figure(4.6 * (1 + len(states)), 4.4)
    figure.get_layout_engine().set(wspace=0.06)
    first, *others = figure.subplots(1, 1 + len(states), squeeze=False)[0]
    energy = first.twinx()
    for name, state in states.items():
        kernel, color = state.kernel, _STATES[name]
        index = np.arange(1, kernel.resolved + 1)
        relative = kernel.eigenvalues / kernel.eigenvalues[0]
        running = np.cumsum(kernel.target_energy)
        first.loglog(index, relative[: kernel.resolved], color=color, label=f"eigenvalue, {name}")
        energy.semilogx(index, running[: kernel.resolved], color=color, ls="--", label=f"target's energy, {name}")
    first.set_xlabel("index of the eigenvector")
    first.set_ylabel("eigenvalue over the largest (solid)")
    energy.set_ylabel("running share of the target's energy (dashed)")
    energy.set_ylim(-0.02, 1.02)
    first.set_ylim(np.finfo(np.float32).eps / 2, 2)
    first.set_xlim(0.9, len(states["initial"].kernel.eigenvalues) * 1.1)
    handles = [*first.get_legend_handles_labels()[0], *energy.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    _tidy(first)
    energy.spines["top"].set_visible(False)
    for axes, (name, state) in zip(others, states.items(), strict=True):
        _draw_eigenvectors(figure, axes, analysis, name, state)
    _title(figure, analysis)
    return figure


def _draw_eigenvectors(figure: Figure, axes: Axes, analysis: Analysis, name: str, state: StateAnalysis) -> None:
    """The matrix eigenvector index x frequency."""
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Patch

    kernel = state.kernel
    number, n = len(kernel.eigenvalues), len(kernel.frequency)
    starts = np.arange(0, n, -(-n // MOST_BANDS))
    shares = np.add.reduceat(kernel.spectrum, starts, axis=1)
    step = kernel.frequency[1]
    edges = np.append(kernel.frequency[starts] - step / 2, kernel.frequency[-1] + step / 2)
    shares[kernel.resolved :] = np.nan
    axes.set_facecolor("0.8")
    mesh = axes.pcolormesh(
        np.arange(0.5, number + 1),
        edges,
        np.maximum(shares.T, LEAST_SHARE),
        norm=LogNorm(LEAST_SHARE, 1.0),
        cmap="magma_r",
        rasterized=True,
    )
    axes.set_xscale("log")
    axes.set_xlim(0.5, number + 0.5)
    axes.set_ylim(0, kernel.frequency[-1])
    handles: List[Any] = []
    if analysis.omega < kernel.frequency[-1]:
        handles.append(axes.axhline(analysis.omega, color="tab:cyan", ls=":", lw=1.8, label="target's centroid Ω"))
    if kernel.resolved < number:
        handles.append(Patch(color="0.8", label="rounding errors"))
    if handles:
        axes.legend(handles=handles, loc="upper left", fontsize=8)
    axes.set_xlabel("index of the eigenvector")
    axes.set_ylabel(_FREQUENCY)
    axes.set_title(f"eigenvectors, {_state_title(analysis, name)}", loc="left", fontsize=10)
    figure.colorbar(mesh, ax=axes, label="share of the eigenvector's power")


def _drawn_layers(analysis: Analysis) -> List[str]:
    """Layers whose spectra are drawn: without an encoding the first one's is a straight line's, and says nothing."""
    layers = [name for name in analysis.states["initial"].statistics if name != OUTPUT]
    return layers if analysis.description.network.family_class.encoded else layers[1:]


def _line_styles(layers: List[str]) -> Dict[str, Dict[str, Any]]:
    """Colours and widths of the layers' lines, light to dark with the depth, the output's and the target's."""
    from matplotlib import colormaps

    shades = colormaps["viridis_r"](np.linspace(0.1, 0.85, max(len(layers), 1)))
    styles = {
        name: {"color": shade, "linewidth": 1.1, "label": name} for name, shade in zip(layers, shades, strict=False)
    }
    return {
        **styles,
        OUTPUT: {"color": "black", "linewidth": 1.8, "label": OUTPUT},
        TARGET: {"color": _TARGET, "linewidth": 1.8, "linestyle": "--", "label": TARGET},
    }


def _state_title(analysis: Analysis, state: str) -> str:
    if state == "initial" or analysis.step is None:
        return f"{state} field"
    return f"after {analysis.step + 1} steps"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _title(figure: Figure, analysis: Analysis) -> None:
    figure.suptitle(plot(f"{analysis.description.name}, {analysis.description.network.family}"), x=0.01, ha="left")


def _label_more(axes: Axes) -> None:
    """Labels at 1, 2 and 5, on a logarithmic axis with hardly a decade."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _tidy(axes: Axes) -> None:
    axes.grid(True, which="major", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
