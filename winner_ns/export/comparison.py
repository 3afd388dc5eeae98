"""One picture that shows how well a field matches its original."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from jaxtyping import Float

from winner_ns.errors import SignalError
from winner_ns.export.field import export_field
from winner_ns.export.mesh import export_mesh, extract_unit_mesh
from winner_ns.export.output import check_suffix, fitted_path, replacing
from winner_ns.export.rendering import SAMPLES, render_surface, sample_mesh, surfels, three_quarter_view
from winner_ns.fields.files import LoadedField, on_lattice
from winner_ns.fitting.metrics import mean_squared_error, psnr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from winner_ns.signals import GridSignal, ShapeSignal

MOST_SHOWN = 2**19
"""Samples that a picture shows: of larger images every second (third, …) pixel, of larger sounds the start."""
MESH_RESOLUTION = 128
"""Grid points per axis of the meshes that are shown and that `write_results` writes."""

_ORIGINAL, _FIELD, _ERROR = "0.55", "tab:blue", "tab:red"


def write_comparison(path: Path, loaded: LoadedField, signal: Union[GridSignal, ShapeSignal]) -> None:
    """Writes one PNG: original, field and their difference.

    Images: pixels and the signed error. Sounds: waveforms, a readable piece of them, spectrograms, error. Shapes: both
    surfaces and, on the fitted one, the distance to the original. Volumes: the middle slice along each axis; videos:
    three frames. Values are shown, and PSNR counted, where the original lies in [-1, 1].

    Args:
        path: a .png.
        loaded: the field.
        signal: what it was fitted to.

    Raises:
        SignalError: another suffix, or the file cannot be written.
    """
    check_suffix(path, (".png",))
    if signal.kind == "shape":
        figure = _shape_figure(loaded, signal)
    else:
        figure = (_audio_figure if signal.kind == "audio" else _grid_figure)(loaded, signal)
    with replacing(path, loaded.description) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")


def write_results(
    loaded: LoadedField, folder: Path, signal: Optional[Union[GridSignal, ShapeSignal]] = None
) -> List[Path]:
    """Writes what a finished run is worth into a folder: field.safetensors, comparison.png (where the signal is at
    hand), and the image (PNG; floats: TIFF), sound (WAV), mesh (PLY), volume or video (.npy), named <name>-fitted.

    Raises:
        SignalError: a file cannot be written, or a shape's field has no surface; all others are written before.
    """
    from winner_ns.export.audio import export_audio
    from winner_ns.export.image import default_image_suffix, export_image
    from winner_ns.export.volume import export_volume

    exports: Dict[str, Callable[[Path], Any]] = {
        "image": lambda output: export_image(loaded, output),
        "audio": lambda output: export_audio(loaded, output),
        "shape": lambda output: export_mesh(loaded, output, MESH_RESOLUTION),
    }
    suffixes = {"audio": ".wav", "shape": ".ply", "volume": ".npy", "video": ".npy"}
    suffix = default_image_suffix(loaded) if loaded.kind == "image" else suffixes[loaded.kind]
    outputs: List[Tuple[Path, Callable[[Path], Any]]] = [
        (Path(folder) / "field.safetensors", lambda output: export_field(loaded, output)),
        (
            fitted_path(loaded, suffix, folder),
            exports.get(loaded.kind, lambda output: export_volume(loaded, output)),
        ),
    ]
    if signal is not None:
        outputs.append((Path(folder) / "comparison.png", lambda output: write_comparison(output, loaded, signal)))
    problem: Optional[SignalError] = None
    for output, write in outputs:
        try:
            write(output)
        except SignalError as error:
            problem = problem or error
    if problem:
        raise problem
    return [output for output, _ in outputs]


def _figure(width: float, height: float, loaded: LoadedField, verdict: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    family = loaded.description["network"]["family"]
    figure.suptitle(f"{loaded.description['name']}  ·  {family}  ·  {verdict}", fontsize=13)
    return figure


def _decibels(original: np.ndarray, fitted: np.ndarray) -> str:
    return f"PSNR {psnr(mean_squared_error(original, fitted)):.2f} dB"


# Images, volumes, videos -------------------------------------------------------------------------------------------


def _grid_figure(loaded: LoadedField, signal: GridSignal) -> Figure:
    names, cuts = _cuts(signal)
    pairs = [_cut_values(loaded, signal, cut, MOST_SHOWN // len(cuts)) for cut in cuts]
    errors = [fitted - original for original, fitted in pairs]
    flat = [np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1)]
    height, width = pairs[0][0].shape[:2]
    panel = float(np.clip(4.0 * height / width, 1.2, 6.0))
    figure = _figure(13.0, len(cuts) * panel + 0.9, loaded, _decibels(*flat))
    axes = figure.subplots(len(cuts), 3, squeeze=False)
    # Alpha is part of the picture, not of its error. In percent of the range.
    errors = [error[..., : 1 if error.shape[-1] == 2 else 3] * 50.0 for error in errors]
    limit = max(float(np.quantile(np.abs(np.concatenate([error.ravel() for error in errors])), 0.995)), 1e-6)
    for row, (name, (original, fitted), error) in enumerate(zip(names, pairs, errors, strict=True)):
        axes[row, 0].imshow(_displayed(original), cmap="gray", vmin=0, vmax=1)
        axes[row, 1].imshow(_displayed(fitted), cmap="gray", vmin=0, vmax=1)
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


def _cuts(signal: GridSignal) -> Tuple[List[str], List[Tuple[Optional[int], ...]]]:
    """Names and planes: for each axis of the grid an index, or None for the two axes that are shown."""
    if signal.kind == "image":
        return [""], [(None, None)]
    if signal.kind == "video":
        frames = [round((signal.shape[0] - 1) * part) for part in (0.1, 0.5, 0.9)]
        return [f"frame {frame}" for frame in frames], [(frame, None, None) for frame in frames]
    middle = [n // 2 for n in signal.shape]
    planes = [tuple(middle[a] if a == axis else None for a in range(3)) for axis in range(3)]
    return [f"{'zyx'[axis]} = {middle[axis]}" for axis in range(3)], planes


def _cut_values(
    loaded: LoadedField, signal: GridSignal, cut: Sequence[Optional[int]], most: int
) -> Tuple[Float[np.ndarray, "h w c"], Float[np.ndarray, "h w c"]]:
    """A plane of the original and of the field, in [-1, 1], with at most `most` pixels."""
    free = [axis for axis, at in enumerate(cut) if at is None]
    step = math.ceil(math.sqrt(max(math.prod(signal.shape[axis] for axis in free) / most, 1.0)))
    index = tuple(slice(None, None, step) if at is None else slice(at, at + 1) for at in cut)
    lines = []
    for n, extent, taken in zip(signal.shape, signal.half_extent, index, strict=True):
        lines.append(extent * (np.arange(n)[taken] * (2.0 / max(n - 1, 1)) - 1.0))
    original = (signal.samples[index].astype(np.float32) - signal.value_offset) / signal.value_scale
    fitted = on_lattice(loaded.normalised, lines)
    plane = tuple(len(lines[axis]) for axis in free)
    return original.reshape(*plane, -1), fitted.reshape(*plane, -1)


def _displayed(values: Float[np.ndarray, "h w c"]) -> np.ndarray:
    pixels = np.clip((values + 1.0) / 2.0, 0.0, 1.0)
    if pixels.shape[-1] == 2:
        return pixels[..., [0, 0, 0, 1]]
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


# Sounds ------------------------------------------------------------------------------------------------------------


def _audio_figure(loaded: LoadedField, signal: GridSignal) -> Figure:
    rate, total = signal.metadata["sample_rate"], signal.shape[0]
    count = min(total, MOST_SHOWN)
    original = (signal.samples[:count].astype(np.float64) - signal.value_offset) / signal.value_scale
    line = np.arange(count) * (2.0 / (total - 1)) - 1.0
    fitted = on_lattice(loaded.normalised, [line])
    verdict = _decibels(original, fitted)
    if count < total:
        verdict += f" (first {count / rate:.1f} s)"
    if signal.channels > 1:
        verdict += f"  ·  channel 1 of {signal.channels}"
    original, fitted = original[:, 0], fitted[:, 0].astype(np.float64)
    seconds = signal.metadata.get("start", 0.0) + np.arange(count) / rate

    figure = _figure(13.0, 9.0, loaded, verdict)
    layout = figure.subplot_mosaic([["wave", "error"], ["zoom", "zoom"], ["spectrogram", "field"]])
    loudest = max(float(np.abs(original).max()), 1e-9)
    _draw_wave(layout["wave"], seconds, original, _ORIGINAL, "original")
    _draw_wave(layout["wave"], seconds, fitted, _FIELD, "field", alpha=0.6)
    layout["wave"].set_title("waveform", fontsize=11)
    layout["wave"].set_ylim(-1.05 * loudest, 1.05 * loudest)
    layout["wave"].legend(loc="upper right", fontsize=9)
    _draw_wave(layout["error"], seconds, fitted - original, _ERROR, "")
    layout["error"].set_title("field − original (own scale)", fontsize=11)

    piece = _telling_piece(original, rate)
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


def _draw_wave(ax: Axes, seconds: np.ndarray, wave: np.ndarray, color: str, label: str, alpha: float = 1.0) -> None:
    """A waveform, of long ones the envelope from smallest to largest value per column of the picture."""
    columns = 1500
    if len(wave) <= 2 * columns:
        ax.plot(seconds, wave, color=color, linewidth=0.8, label=label, alpha=alpha)
        return
    starts = np.linspace(0, len(wave), columns, endpoint=False).astype(np.int64)
    low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
    ax.fill_between(seconds[starts], low, high, color=color, linewidth=0.4, label=label, alpha=alpha)


def _telling_piece(wave: Float[np.ndarray, " n"], rate: int) -> slice:
    """About 20 ms (at most 600 samples, so that single ones can be seen) where the sound is loudest."""
    length = min(len(wave), int(np.clip(0.02 * rate, 64, 600)))
    energy = np.square(wave[: len(wave) // length * length]).reshape(-1, length).sum(axis=1)
    start = int(energy.argmax()) * length
    return slice(start, start + length)


def _draw_spectrograms(
    figure: Figure, left: Axes, right: Axes, original: np.ndarray, fitted: np.ndarray, rate: int, start: float
) -> None:
    from scipy.signal import spectrogram

    window = int(min(1024, len(original)))
    hop = max(window // 4, len(original) // 2000, 1)
    levels = []
    for wave in (original, fitted):
        frequency, at, power = spectrogram(wave, rate, "hann", window, max(window - hop, 0), mode="magnitude")
        levels.append(20.0 * np.log10(np.maximum(power, 1e-12)))
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


def _shape_figure(loaded: LoadedField, signal: ShapeSignal) -> Figure:
    size = 560
    if signal.source == "mesh":
        points, normals = signal.sample_surface(SAMPLES, seed=0)
        cloud, cloud_normals = points[:20_000], normals[:20_000]
    else:
        cloud, cloud_normals = signal.sample_surface(50_000, seed=0)
        cloud, kept = np.unique(cloud, axis=0, return_index=True)
        cloud_normals = cloud_normals[kept]
        points, normals = surfels(cloud.astype(np.float64), cloud_normals.astype(np.float64))
    view = three_quarter_view(points)
    panels = {"original": render_surface(points, normals, view, size)[0]}
    vertices, faces = extract_unit_mesh(loaded, MESH_RESOLUTION)
    if not len(faces):
        return _panels_figure(_figure(12.0, 4.8, loaded, "the field has no surface"), panels)

    fitted_points, fitted_normals = sample_mesh(vertices, faces)
    panels["field"], light, seen = render_surface(fitted_points, fitted_normals, view, size)
    percent = 100.0 / float(np.linalg.norm(np.ptp(points, axis=0)))
    distance_of = _distance_to(signal, cloud, cloud_normals)
    # Both ways, so that what the field lacks counts too.
    there, back = distance_of(fitted_points[:20_000]), np.abs(_fitted_distance(loaded, cloud))
    mean = percent * float(there.mean() + back.mean()) / 2
    shown = np.full(seen.shape, np.nan)
    shown[seen >= 0] = percent * distance_of(fitted_points[seen[seen >= 0]])
    return _panels_figure(
        _figure(12.0, 4.8, loaded, f"mean distance {mean:.3g} % of the diagonal"), panels, shown, light
    )


def _fitted_distance(loaded: LoadedField, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """The fitted signed distance at points of the unit cube."""
    import torch

    return loaded.unit_distance(torch.from_numpy(np.asarray(points, dtype=np.float32))).numpy()[:, 0]


def _distance_to(signal: ShapeSignal, cloud: np.ndarray, normals: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The distance to the original's surface, as a function on the unit cube."""
    if signal.source != "distances":
        return lambda points: np.abs(signal.signed_distance(points))
    from scipy.spatial import cKDTree

    tree = cKDTree(cloud)
    spacing = float(np.median(tree.query(cloud, k=[5], workers=-1)[0]))

    def distance(points: np.ndarray) -> np.ndarray:
        nearest, index = tree.query(points, workers=-1)
        # Between its samples the surface is taken to be flat.
        height = np.abs(((points - cloud[index]) * normals[index]).sum(axis=1))
        return np.where(nearest < 2 * spacing, height, nearest)

    return distance


def _panels_figure(
    figure: Figure,
    panels: Dict[str, np.ndarray],
    percent: Optional[Float[np.ndarray, "h w"]] = None,
    light: Optional[Float[np.ndarray, "h w"]] = None,
) -> Figure:
    """Pictures by their titles, and a lit surface in the colours of a distance in percent (NaN: background)."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes = figure.subplots(1, 3)
    for ax in axes:
        ax.set_axis_off()
    for ax, (title, picture) in zip(axes, panels.items(), strict=False):
        ax.imshow(picture)
        ax.set_title(title, fontsize=11)
    if percent is not None and light is not None:
        surface = ~np.isnan(percent)
        limit = float(np.quantile(percent[surface], 0.99)) if surface.any() else 1.0
        scale = ScalarMappable(Normalize(0.0, max(limit, 1e-9)), colormaps["turbo"])
        colors = scale.to_rgba(np.nan_to_num(percent))[..., :3] * (0.45 + 0.55 * light[..., None])
        axes[2].imshow(np.where(surface[..., None], np.clip(colors, 0.0, 1.0), 1.0))
        axes[2].set_title("distance to the original", fontsize=11)
        bar = figure.colorbar(scale, ax=axes[2], shrink=0.8, pad=0.02, extend="max")
        bar.set_label("% of the diagonal", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    return figure
