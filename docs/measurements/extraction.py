"""Extraction of meshes near the surface only, beside evaluating the whole grid, in one process.

    python -m docs.measurements.extraction RUN [--dense 128 256 512] [--alone 1024 2048]

Prints for each resolution the points that were evaluated, seconds of both ways and their ratio, whether the meshes are
the same, and the memory at its peak above that before (of the way that is ours).
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path
from typing import Tuple

import numpy as np
import torch

from winner_ns.export.mesh import extract_mesh
from winner_ns.fitting.run import LoadedRun, load_run
from winner_ns.meshing.extraction import grid_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--dense", type=int, nargs="*", default=[128, 256], help="resolutions, both ways")
    parser.add_argument("--alone", type=int, nargs="*", default=[512, 1024], help="resolutions, near the surface only")
    arguments = parser.parse_args()
    loaded = load_run(arguments.run)
    extract_mesh(loaded, 32)  # Imports and warms up.
    print("| resolution | points evaluated | s | dense, s | ratio | vertices | same mesh | peak, MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for resolution in sorted({*arguments.dense, *arguments.alone}):
        with PeakMemory() as memory:
            start = time.perf_counter()
            mesh, facts = extract_mesh(loaded, resolution)
            seconds = time.perf_counter() - start
        share = f"{facts['points_evaluated']:,} ({100 * facts['fraction_evaluated']:.2f} %)"
        compared = " | "
        if resolution in arguments.dense:
            start = time.perf_counter()
            vertices, faces = dense(loaded, resolution)
            whole = time.perf_counter() - start
            compared = f"{whole:.1f} | {whole / seconds:.1f}"
            same = "yes" if is_same(loaded, mesh.vertices, len(mesh.faces), vertices, len(faces), resolution) else "no"
        else:
            same = ""
        print(
            f"| {resolution} | {share} | {seconds:.1f} | {compared} | {len(mesh.vertices):,} | {same} | "
            f"{memory.mebibytes:.0f} |",
            flush=True,
        )


def dense(loaded: LoadedRun, resolution: int) -> Tuple[np.ndarray, np.ndarray]:
    """Vertices, in the unit cube, and faces of marching cubes on the whole grid."""
    import mcubes

    lines = [torch.from_numpy(line.astype(np.float32)) for line in grid_lines(-np.ones(3), np.ones(3), resolution)]
    values = np.empty((resolution,) * 3, dtype=np.float32)
    plane = torch.cartesian_prod(lines[1], lines[2])
    for i, x in enumerate(lines[0]):
        points = torch.cat([x.expand(len(plane), 1), plane], dim=1)
        values[i] = loaded.unit_distance(points)[:, 0].numpy().reshape(resolution, resolution)
    vertices, faces = mcubes.marching_cubes(values, 0.0)
    return vertices * (2 / (resolution - 1)) - 1, faces


def is_same(
    loaded: LoadedRun, vertices: np.ndarray, faces: int, whole: np.ndarray, whole_faces: int, resolution: int
) -> bool:
    """As many vertices and faces, and each vertex where one of the other mesh is, to a thousandth of a cell."""
    from scipy.spatial import cKDTree

    if (len(vertices), faces) != (len(whole), whole_faces):
        return False
    unit = (vertices - np.array(loaded.signal["center"])) / loaded.signal["scale"]
    return bool(cKDTree(whole).query(unit, workers=-1)[0].max() < 1e-3 * 2 / (resolution - 1))


class PeakMemory:
    """The largest resident memory of this process while a block runs, above that before it; Linux only."""

    def __enter__(self) -> PeakMemory:
        self._before = self._peak = _resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._peak = max(self._peak, _resident())

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def mebibytes(self) -> float:
        return (self._peak - self._before) / 2**20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
