"""Shapes that are no clean meshes, fitted and given back: figures, and what the meshes are.

    python -m docs.measurements.odd_shapes [--steps 500] [--output bench-odd-shapes]

The bunny with six holes; a bunny of 150 mm, a million millimetres from the origin; twelve balls that overlap; the
vertices of a bone, without normals; the points of a chameleon, with normals. All but the balls are made of pymeshlab's
samples.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import List

import numpy as np
import trimesh

from winner_ns.demo.train_runs import Run, train
from winner_ns.samples import installed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path("bench-odd-shapes"), help="folder of inputs and runs")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    print("| input | IoU | Chamfer, % of diagonal | closed | components | lowest corner | highest corner |")
    print("|---|---|---|---|---|---|---|")
    for path in written_inputs(arguments.output):
        run = Run(path.stem, path, ["--max-num-iterations", str(arguments.steps)])
        results = run.folder(arguments.output) / "results"
        if not (results / "figures.json").is_file():
            train([run], arguments.output)
        figures = json.loads((results / "figures.json").read_text())["figures"]
        mesh = trimesh.load(results / f"{path.stem}-fitted.ply", process=False)
        low, high = (" ".join(f"{x:.8g}" for x in corner) for corner in mesh.bounds)
        parts = len(mesh.split(only_watertight=False))
        closed = "yes" if mesh.is_watertight else "no"
        error = figures["chamfer_percent_of_diagonal"]
        print(f"| {path.name} | {figures['iou']:.4f} | {error:.4f} | {closed} | {parts} | {low} | {high} |", flush=True)


def written_inputs(folder: Path) -> List[Path]:
    """Writes the inputs into a folder."""
    samples = "pymeshlab", "tests", "sample_meshes"
    bunny = trimesh.load(installed(*samples, "bunny.obj"), process=False)
    size = bunny.extents.max()

    holes = folder / "holes.ply"
    kept = np.ones(len(bunny.faces), bool)
    for center in trimesh.sample.sample_surface(bunny, 6, seed=1)[0]:
        kept &= np.linalg.norm(bunny.triangles_center - center, axis=1) > 0.05 * size
    trimesh.Trimesh(bunny.vertices, bunny.faces[kept], process=False).export(holes)

    far = folder / "far.obj"
    moved = (bunny.vertices - bunny.bounds.mean(axis=0)) * (150 / size) + [1e6, -1.2e6, 9e5]
    trimesh.Trimesh(moved, bunny.faces, process=False).export(far, digits=9)

    balls = folder / "balls.stl"
    generator, parts = np.random.default_rng(0), []
    for _ in range(12):
        ball = trimesh.creation.icosphere(4, generator.uniform(5, 12))
        parts.append(ball.apply_translation(generator.uniform(-12, 12, 3)))
    trimesh.util.concatenate(parts).export(balls)

    bone = folder / "bone.xyz"
    np.savetxt(bone, trimesh.load(installed(*samples, "bone.ply"), process=False).vertices)
    chameleon = folder / "chameleon.pts"
    shutil.copyfile(installed(*samples, "chameleon.pts"), chameleon)
    return [holes, far, balls, bone, chameleon]


if __name__ == "__main__":
    main()
