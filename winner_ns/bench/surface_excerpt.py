"""Surfaces as a benchmark shows them: lit, and coloured by their distance to the original."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Collection, List, Optional, Sequence

import numpy as np

from winner_ns.bench.excerpt import Excerpt, Tile
from winner_ns.bench.pixels import encoded, end_of_scale, enlarged, read_pixels, write_pixels
from winner_ns.export.excerpts import OriginalSurface, distance_colors
from winner_ns.export.surface_rendering import render_surface, sample_mesh
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.target import Target
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.signals import Signal, load_signal
from winner_ns.writing import replacing

PICTURE = 480
"""Pixels along the side of a surface's picture."""
OF_A_SURFACE = {"fitted.png", "fitted.ply", "distance.npz"}
"""Files that a cell has together, or, where there was no surface, not at all."""


class SurfaceExcerpt(Excerpt):
    """original.png and, where there is a surface, fitted.ply, fitted.png and distance.npz: distance to the original in
    percent of its diagonal, and lighting, pixel by pixel."""

    def size(self, signal: Signal) -> str:
        facts = signal.describe()
        return f"{facts['faces']:,} faces" if "faces" in facts else f"{facts.get('points', 0):,} points"

    def write(self, loaded: LoadedField, clean: Target, trained_on: Target, folder: Path, resolution: int) -> None:
        import trimesh

        original = _original_surface(clean.signal.path, clean.signal.kind)
        write_pixels(folder / "original.png", original.picture)
        vertices, faces = extract_unit_mesh(loaded, resolution)
        if not len(faces):
            return
        points, normals = sample_mesh(vertices, faces)
        picture, light, seen = render_surface(points, normals, original.view, PICTURE)
        distance = np.full(seen.shape, np.nan)
        distance[seen >= 0] = original.percent * original.distance(points[seen[seen >= 0]])
        write_pixels(folder / "fitted.png", picture)
        with replacing(folder / "distance.npz") as temporary:
            np.savez_compressed(temporary, distance=distance.astype(np.float16), light=light.astype(np.float16))
        with replacing(folder / "fitted.ply") as temporary:
            placed = vertices * loaded.signal["scale"] + np.array(loaded.signal["center"])
            trimesh.Trimesh(placed, faces, process=False).export(temporary)

    def is_lost(self, names: Collection[str]) -> bool:
        return "original.png" not in names or 0 < len(OF_A_SURFACE & set(names)) < len(OF_A_SURFACE)

    def draw(self, tiles: Sequence[Tile], files: Sequence[Optional[Path]]) -> str:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        maps: List[Any] = [None if path is None else np.load(path.with_name("distance.npz")) for path in files[1:]]
        limit = end_of_scale([each["distance"].astype(float) for each in maps if each is not None], 0.98)
        scale = ScalarMappable(Normalize(0.0, limit), "turbo")
        for tile, path, each in zip(tiles, files, [None, *maps], strict=True):
            if path is None:
                tile.figure += "" if tile.gone else " (no surface)"
                continue
            tile.pictures.append(("", *encoded(enlarged(read_pixels(path)))))
            if each is not None:
                distance, light = each["distance"].astype(float), each["light"].astype(float)
                tile.pictures.append(("error", *encoded(enlarged(distance_colors(distance, light, scale)))))
        return f"Error maps: distance to the original, from blue for none to red for {limit:.2g} % of its diagonal."


@lru_cache(maxsize=1)
def _original_surface(path: Path, kind: str) -> OriginalSurface:
    """Kept, as a worker is likely to fit the same shape next."""
    return OriginalSurface(load_signal(path, kind), PICTURE)
