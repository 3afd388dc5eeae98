"""What a cell leaves beside its figures: a picture, a sound or a mesh of what was fitted, and of the original."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.export.excerpts import MOST_SHOWN, OriginalSurface, cut_values, cuts, displayed
from winner_ns.export.output import replacing
from winner_ns.export.surface_rendering import render_surface, sample_mesh
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.target import Target
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.signals import GridSignal, load_signal

PICTURE = 480
"""Pixels along the side of a surface's picture."""


def write_files(loaded: LoadedField, clean: Target, trained_on: Target, folder: Path, resolution: int) -> None:
    """Writes files into a cell's folder, original.png or .flac among them.

    Images and a plane of volumes and videos: fitted.png, and noisy.png where there is noise. Sounds: the same as
    .flac. Shapes: fitted.ply, fitted.png and distance.npz (distance to the original in percent of its diagonal, and
    lighting, pixel by pixel), from a grid of `resolution` points along each axis; no surface, no files.
    """
    signal = clean.signal
    noisy = trained_on is not clean
    if signal.kind == "shape":
        _write_surface(loaded, signal.path, folder, resolution)
    elif signal.kind == "audio":
        _write_sound(folder / "fitted.flac", loaded.grid(signal.shape), signal)
        _write_sound(folder / "original.flac", signal.samples, signal)
        if noisy:
            _write_sound(folder / "noisy.flac", trained_on.signal.samples, signal)
    else:
        names, planes = cuts(signal)
        plane = planes[len(planes) // 2] if signal.kind == "video" else planes[0]
        original, fitted = cut_values(loaded, signal, plane, MOST_SHOWN)
        _write_picture(folder / "fitted.png", displayed(fitted))
        _write_picture(folder / "original.png", displayed(original))
        if noisy:
            shown = cut_values(loaded, trained_on.signal, plane, MOST_SHOWN)[0]
            _write_picture(folder / "noisy.png", displayed(shown))


def _write_sound(path: Path, samples: Shaped[np.ndarray, "n c"], signal: GridSignal) -> None:
    """Raw samples as a FLAC in which the original's peak is 0.9 of full scale, so that all are as loud."""
    import soundfile

    values = np.nan_to_num(samples.astype(np.float64) / signal.value_scale) * 0.9
    with replacing(path) as temporary:
        # FLAC knows no rates below 1 Hz and none that are no whole number.
        soundfile.write(temporary, np.clip(values, -1.0, 1.0), max(int(signal.metadata["sample_rate"]), 1), "PCM_16")


def _write_picture(path: Path, pixels: Float[np.ndarray, "h w *c"]) -> None:
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray((255.0 * np.nan_to_num(pixels)).round().astype(np.uint8)).save(temporary)


def _write_surface(loaded: LoadedField, path: Path, folder: Path, resolution: int) -> None:
    import trimesh

    original = _original_surface(path)
    _write_picture(folder / "original.png", original.picture)
    vertices, faces = extract_unit_mesh(loaded, resolution)
    if not len(faces):
        return
    points, normals = sample_mesh(vertices, faces)
    picture, light, seen = render_surface(points, normals, original.view, PICTURE)
    distance = np.full(seen.shape, np.nan)
    distance[seen >= 0] = original.percent * original.distance(points[seen[seen >= 0]])
    _write_picture(folder / "fitted.png", picture)
    with replacing(folder / "distance.npz") as temporary:
        np.savez_compressed(temporary, distance=distance.astype(np.float16), light=light.astype(np.float16))
    with replacing(folder / "fitted.ply") as temporary:
        placed = vertices * loaded.signal["scale"] + np.array(loaded.signal["center"])
        trimesh.Trimesh(placed, faces, process=False).export(temporary)


@lru_cache(maxsize=1)
def _original_surface(path: Path) -> OriginalSurface:
    """Kept, as a worker is likely to fit the same shape next."""
    return OriginalSurface(load_signal(path, "shape"), PICTURE)
