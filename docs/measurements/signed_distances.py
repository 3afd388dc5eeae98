"""Shapes from signed distances at few points: a torus, and meshes sampled as DeepSDF does (Park et al. 2019, A.1).

    python -m docs.measurements.signed_distances [MESH ...] [--cut 0.1] [--noise 0] [--steps 1000] [--seed 42]

Fields of 4 x 128 are fitted to the samples alone, and are judged by the truth: IoU in the whole cube, from 500,000
points, and the number of connected parts of the extracted surface. "siren, samples alone" is a plain SIREN trained on
the given points and nothing else, as it would be without what follows from them; "mean of the bounds" and "estimate"
are what follows, without a field.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float

import winner_ns
from winner_ns.figures.meshes import volume_iou
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.signals import ShapeSignal, load_signal, shape, signal_of
from winner_ns.signals.distance_samples import Cuts, DistanceSamples

Distance = Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]]
DEEPSDF_SIGMAS = (0.005**0.5, 0.0005**0.5)
"""Of the normal noise per axis that moves surface points, where the mesh fits into the unit sphere."""
FIELDS: Dict[str, Dict[str, object]] = {
    "siren, samples alone": {"family": "siren"},
    "siren": {"family": "siren"},
    "winner": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="*")
    parser.add_argument("--count", type=int, default=100_000, help="samples of a mesh")
    parser.add_argument("--cut", type=float, help="cut distances off there, in units of the unit sphere")
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of the distances' errors, in these units")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--fields", nargs="*", default=list(FIELDS), help=", ".join(FIELDS))
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    print("| shape | field | s0 | IoU in the cube | parts | CPU s |\n|---|---|---|---|---|---|")
    for name, samples, truth in _inputs(arguments, generator):
        samples[:, 3] += arguments.noise * generator.standard_normal(len(samples))
        if arguments.cut:
            samples[:, 3] = samples[:, 3].clip(-arguments.cut, arguments.cut)
        signal = signal_of(samples.astype(np.float32), "shape")
        assert isinstance(signal, ShapeSignal)
        lower, upper = DistanceSamples(*_known(signal)).bounds(_points())
        print(f"| {name} | mean of the bounds | | {_iou(signal, truth, (lower + upper) / 2):.4f} | | |")
        print(f"| {name} | estimate | | {_iou(signal, truth, signal.signed_distance(_points())):.4f} | | |", flush=True)
        for field in arguments.fields:
            shape.GIVEN_SHARE, shape.NEAR_SURFACE["distances"] = (1.0, ()) if field.endswith("alone") else SHARES
            print(f"| {name} | {field} | {_cells(signal, truth, arguments, field)} |", flush=True)


SHARES = shape.GIVEN_SHARE, shape.NEAR_SURFACE["distances"]


def _cells(signal: ShapeSignal, truth: Distance, arguments: argparse.Namespace, field: str) -> str:
    started = time.process_time()
    options = {"width": 128, "depth": 4, "steps": arguments.steps, "seed": arguments.seed, "progress": False}
    fitted = winner_ns.fit(signal, **options, **FIELDS[field])  # pyright: ignore[reportArgumentType]
    seconds = time.process_time() - started
    assert fitted.description.spectrum is not None
    iou = _iou(signal, truth, fitted.unit_distance(torch.from_numpy(_points())).numpy()[:, 0])
    parts = trimesh.Trimesh(*extract_unit_mesh(fitted, 160), process=False).body_count
    return f"{fitted.description.spectrum.s0:.3g} | {iou:.4f} | {parts} | {seconds:.0f}"


def _points() -> np.ndarray:
    """Where fields are judged, in the unit cube."""
    return np.random.default_rng(1).uniform(-1, 1, (500_000, 3)).astype(np.float32)


def _iou(signal: ShapeSignal, truth: Distance, distances: np.ndarray) -> float:
    return volume_iou(truth(_points() * signal.scale + signal.center) < 0, distances < 0).value


def _known(signal: ShapeSignal) -> Tuple[np.ndarray, np.ndarray, Cuts]:
    assert signal.points is not None and signal.distances is not None
    return signal.points, signal.distances, signal.cuts


def _inputs(
    arguments: argparse.Namespace, generator: np.random.Generator
) -> Iterator[Tuple[str, np.ndarray, Distance]]:
    """Names, samples [n, 4] and true distances."""
    if not arguments.meshes:
        points = np.concatenate([_torus(40_000, generator), generator.uniform(-1, 1, (13_333, 3)) * [1.6, 1.6, 0.6]])
        yield "torus", np.c_[points, _torus_distance(points)], _torus_distance
    for path in arguments.meshes:
        mesh = load_signal(path, "shape")
        assert mesh.vertices is not None
        center = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
        radius = float(np.linalg.norm(mesh.vertices - center, axis=1).max())

        def truth(points: np.ndarray, mesh=mesh, center=center, radius=radius) -> np.ndarray:
            return mesh.signed_distance(points * radius + center) / radius

        half = round(0.95 * arguments.count) // 2
        surface = (mesh.sample_surface(2 * half, seed=0)[0] - center) / radius
        near = surface + np.repeat(DEEPSDF_SIGMAS, half)[:, None] * generator.standard_normal(surface.shape)
        points = np.concatenate([near, generator.uniform(-1, 1, (arguments.count - 2 * half, 3))])
        yield path.stem, np.c_[points, truth(points)], truth


def _torus(count: int, generator: np.random.Generator) -> np.ndarray:
    """Points around a torus of radii 1 and 0.4, with sigma 4 % of what it measures from its middle."""
    around, across, chance = generator.uniform(0, 1, (3, 4 * count)) * [[2 * np.pi], [2 * np.pi], [1.4]]
    ring = 1.0 + 0.4 * np.cos(across)
    # Uniform in area: the outer half is the larger one.
    points = np.stack([ring * np.cos(around), ring * np.sin(around), 0.4 * np.sin(across)], axis=1)[chance < ring]
    return points[:count] + 0.056 * generator.standard_normal((count, 3))


def _torus_distance(points: np.ndarray) -> np.ndarray:
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - 1.0, points[:, 2]) - 0.4


if __name__ == "__main__":
    main()
