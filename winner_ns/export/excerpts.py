"""What pictures show of an original and of fields that were fitted to it: planes, pieces of sound, surfaces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

import numpy as np
import torch
from jaxtyping import Float

from winner_ns.export.surface_rendering import SAMPLES, View, render_surface, sample_mesh, surfels, three_quarter_view
from winner_ns.fields.files import LoadedField, on_lattice
from winner_ns.fields.sample_values import sample_values
from winner_ns.kinds import KINDS
from winner_ns.meshing.fitted_surface import extract_unit_mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from winner_ns.signals import GridSignal, ShapeSignal

MOST_SHOWN = 2**19
"""Samples that a picture shows: of larger images every second (third, …) pixel, of larger sounds the start."""

Cut = Tuple[Optional[int], ...]
"""A plane of a grid: for each axis an index, or None for the two axes that are shown."""


# Planes of grids ---------------------------------------------------------------------------------------------------


def whole_plane(signal: GridSignal) -> Tuple[List[str], List[Cut]]:
    """The one plane of a grid of two axes, without a name."""
    return [""], [(None, None)]


def middle_planes(signal: GridSignal) -> Tuple[List[str], List[Cut]]:
    """The middle along each of three axes; of two axes the whole."""
    if signal.dimensions == 2:
        return whole_plane(signal)
    middle = [n // 2 for n in signal.shape]
    planes = [tuple(middle[a] if a == axis else None for a in range(3)) for axis in range(3)]
    return [f"{'zyx'[axis]} = {middle[axis]}" for axis in range(3)], planes


def frames(signal: GridSignal) -> Tuple[List[str], List[Cut]]:
    """Three moments of a video: soon after its start, in the middle, shortly before its end."""
    numbers = [round((signal.shape[0] - 1) * part) for part in (0.1, 0.5, 0.9)]
    return [f"frame {number}" for number in numbers], [(number, None, None) for number in numbers]


def cuts(signal: GridSignal) -> Tuple[List[str], List[Cut]]:
    """Names and planes that show a grid, as its kind says."""
    return KINDS[signal.kind].get("planes")(signal)


def single_cut(signal: GridSignal) -> Tuple[str, Cut]:
    """Name and plane of the one of `cuts` that stands for all: across the first axis, if any is, the middle one."""
    names, planes = cuts(signal)
    across = [i for i, plane in enumerate(planes) if plane[0] is not None] or [0]
    shown = across[len(across) // 2]
    return names[shown], planes[shown]


def cut_values(
    loaded: LoadedField, signal: GridSignal, cut: Sequence[Optional[int]], most: int
) -> Tuple[Float[np.ndarray, "h w c"], Float[np.ndarray, "h w c"]]:
    """A plane of the original and of the field, in [-1, 1], with at most `most` pixels."""
    free = [axis for axis, at in enumerate(cut) if at is None]
    step = math.ceil(math.sqrt(max(math.prod(signal.shape[axis] for axis in free) / most, 1.0)))
    index = tuple(slice(None, None, step) if at is None else slice(at, at + 1) for at in cut)
    original = (signal.samples[index].astype(np.float32) - signal.value_offset) / signal.value_scale
    known = sample_values(loaded)
    if known is not None:
        fitted = known[index]
    else:
        lines = []
        for n, extent, taken in zip(signal.shape, signal.half_extent, index, strict=True):
            lines.append(extent * (np.arange(n)[taken] * (2.0 / max(n - 1, 1)) - 1.0))
        fitted = on_lattice(loaded.normalised, lines)
    plane = tuple(fitted.shape[axis] for axis in free)
    return original.reshape(*plane, -1), fitted.reshape(*plane, -1)


def displayed(values: Float[np.ndarray, "h w c"]) -> np.ndarray:
    """Values in [-1, 1] as matplotlib's imshow takes them; one channel: [h, w], gray in [0, 1]; of more than four
    channels the first three."""
    pixels = np.clip((values + 1.0) / 2.0, 0.0, 1.0)
    channels = pixels.shape[-1]
    if channels == 2:
        return pixels[..., [0, 0, 0, 1]]
    if channels > 4:
        return pixels[..., :3]
    return pixels[..., 0] if channels == 1 else pixels


# Sounds ------------------------------------------------------------------------------------------------------------


def sound_values(
    loaded: LoadedField, signal: GridSignal
) -> Tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n c"], Float[np.ndarray, "n c"]]:
    """Seconds, and the original and the field there in [-1, 1]; of long sounds the start."""
    total, count = signal.shape[0], min(signal.shape[0], MOST_SHOWN)
    original = (signal.samples[:count].astype(np.float64) - signal.value_offset) / signal.value_scale
    known = sample_values(loaded)
    if known is not None:
        fitted = known[:count]
    else:
        fitted = on_lattice(loaded.normalised, [np.arange(count) * (2.0 / (total - 1)) - 1.0])
    seconds = signal.metadata.get("start", 0.0) + np.arange(count) / signal.metadata["sample_rate"]
    return seconds, original, fitted.astype(np.float64)


def heard(loaded: LoadedField, signal: GridSignal) -> Tuple[Float[np.ndarray, " n"], int]:
    """The field's first channel as it is heard, 1 at full scale, and its rate in hertz; of long sounds the start."""
    _, _, fitted = sound_values(loaded, signal)
    return np.clip(fitted[:, 0], -1.0, 1.0).astype(np.float32), int(signal.metadata["sample_rate"])


def draw_wave(ax: Axes, seconds: np.ndarray, wave: np.ndarray, color: str, label: str, alpha: float = 1.0) -> None:
    """A waveform, of long ones the envelope from smallest to largest value per column of the picture."""
    columns = 1500
    if len(wave) <= 2 * columns:
        ax.plot(seconds, wave, color=color, linewidth=0.8, label=label, alpha=alpha)
        return
    starts = np.linspace(0, len(wave), columns, endpoint=False).astype(np.int64)
    low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
    ax.fill_between(seconds[starts], low, high, color=color, linewidth=0.4, label=label, alpha=alpha)


def telling_piece(wave: Float[np.ndarray, " n"], rate: int, most: int = 600) -> slice:
    """About 20 ms (at most so many samples that single ones can be seen) where the sound is loudest."""
    length = min(len(wave), int(np.clip(0.02 * rate, 64, most)))
    energy = np.square(wave[: len(wave) // length * length]).reshape(-1, length).sum(axis=1)
    start = int(energy.argmax()) * length
    return slice(start, start + length)


def spectrogram_levels(wave: Float[np.ndarray, " n"], rate: int) -> Float[np.ndarray, "frequencies times"]:
    """A spectrogram in dB, from 0 to half the sample rate."""
    from scipy.signal import spectrogram

    window = int(min(1024, len(wave)))
    hop = max(window // 4, len(wave) // 2000, 1)
    _, _, magnitude = spectrogram(wave, rate, "hann", window, max(window - hop, 0), mode="magnitude")
    return 20.0 * np.log10(np.maximum(magnitude, 1e-12))


# Shapes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FittedSurface:
    """A field's surface, seen as the original is."""

    picture: Float[np.ndarray, "size size 3"]
    light: Float[np.ndarray, "size size"]
    distance: Float[np.ndarray, "size size"]
    """From what is seen to the original's surface, in percent of its diagonal; NaN: background."""
    mean_distance: float
    """Between both surfaces, both ways, so that what the field lacks counts too; in percent of the diagonal."""


class OriginalSurface:
    """A shape's surface as it is shown, and what fields are measured against.

    Args:
        signal: the shape.
        size: pixels along a picture's side.
        samples: surface samples that a picture is made of; None: SAMPLES.
    """

    def __init__(self, signal: ShapeSignal, size: int, samples: Optional[int] = None) -> None:
        samples = SAMPLES if samples is None else samples
        self.signal, self.size, self.samples = signal, size, samples
        if signal.source == "mesh":
            points, normals = signal.sample_surface(samples, seed=0)
            cloud, cloud_normals = points[:20_000], normals[:20_000]
        else:
            cloud, cloud_normals = signal.sample_surface(50_000, seed=0)
            cloud, kept = np.unique(cloud, axis=0, return_index=True)
            cloud_normals = cloud_normals[kept]
            points, normals = surfels(cloud.astype(np.float64), cloud_normals.astype(np.float64), samples)
        self.cloud, self.cloud_normals = cloud, cloud_normals
        self.percent = 100.0 / float(np.linalg.norm(np.ptp(points, axis=0)))
        self.view: View = three_quarter_view(points)
        self.picture = render_surface(points, normals, self.view, size)[0]

    def fitted(self, loaded: LoadedField) -> Optional[FittedSurface]:
        """A field's surface; None where it has none."""
        vertices, faces = extract_unit_mesh(loaded)
        if not len(faces):
            return None
        points, normals = sample_mesh(vertices, faces, self.samples)
        picture, light, seen = render_surface(points, normals, self.view, self.size)
        there, back = self.distance(points[:20_000]), np.abs(_fitted_distance(loaded, self.cloud))
        shown = np.full(seen.shape, np.nan)
        shown[seen >= 0] = self.percent * self.distance(points[seen[seen >= 0]])
        return FittedSurface(picture, light, shown, self.percent * float(there.mean() + back.mean()) / 2)

    def distance(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The distance to the original's surface, in units of the unit cube."""
        if self.signal.source != "distances":
            return self.signal.distance(points)
        tree, spacing = self._tree
        nearest, index = tree.query(points, workers=-1)
        # Between its samples the surface is taken to be flat.
        height = np.abs(((points - self.cloud[index]) * self.cloud_normals[index]).sum(axis=1))
        return np.where(nearest < 2 * spacing, height, nearest)

    @cached_property
    def _tree(self) -> tuple:
        from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

        tree = cKDTree(self.cloud)
        return tree, float(np.median(tree.query(self.cloud, k=[5], workers=-1)[0]))


def _fitted_distance(loaded: LoadedField, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """The fitted signed distance at points of the unit cube."""
    return loaded.unit_distance(torch.from_numpy(np.asarray(points, dtype=np.float32))).numpy()[:, 0]


def distance_colors(distance: Float[np.ndarray, "h w"], light: Float[np.ndarray, "h w"], scale) -> np.ndarray:
    """A lit surface [h, w, 3] in the colours that matplotlib's ScalarMappable gives a distance (NaN: white)."""
    surface = ~np.isnan(distance)
    colors = scale.to_rgba(np.nan_to_num(distance))[..., :3] * (0.45 + 0.55 * light[..., None])
    return np.where(surface[..., None], np.clip(colors, 0.0, 1.0), 1.0)
