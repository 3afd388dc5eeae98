"""How shapes are best initialised and sampled: plain SIREN, the earlier law and one kappa or more, on either spread.

    python -m docs.measurements.shape_law MESH [MESH ...] [--steps 1000] [--seeds 3] [--width 128] [--kappas 1]

All fields of a mesh, a spread and a seed are trained side by side, step by step on the same points. "wide" and "near"
are the spreads of the training points around the surface; "earlier" is kappa 4 of the centroid of tanh(distance / 0.02)
on a grid of 64^3, V = 1.4 and s0 at most 12; a number is the law matching with that kappa.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import torch
import trimesh

from winner_ns.fields.denormals import flushed_denormals
from winner_ns.fitting.fit import FittedField
from winner_ns.fitting.plan import FieldPlan, SettledPlan
from winner_ns.fitting.target import TargetOptions, target_of
from winner_ns.fitting.training import Training
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.signals import ShapeSignal, load_signal
from winner_ns.signals.shape import NEAR_SURFACE, NearSurface
from winner_ns.spectrum import MatchingLaw, SineNetwork, TargetSpectrum, spectral_centroid
from winner_ns.spectrum.measure import ShapeMeasure

SPREADS: Dict[str, NearSurface] = {"wide": ((0.4, 0.01), (0.4, 0.05)), "near": NEAR_SURFACE["mesh"]}
FIGURES = ("iou", "chamfer_percent_of_diagonal", "hausdorff_percent_of_diagonal", "normal_consistency")
BATCH = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--kappas", type=float, nargs="*", default=[1.0])
    parser.add_argument("--spreads", nargs="+", choices=list(SPREADS), default=list(SPREADS))
    parser.add_argument("--laws", nargs="*", default=["plain", "earlier"], choices=["plain", "earlier"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    laws = [*arguments.laws, *(f"{kappa:g}" for kappa in arguments.kappas)]
    print("| mesh | seed | spread | law | s0 | IoU | Chamfer, % | Hausdorff, % | normals | parts | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    means: Dict[Tuple[str, str, str], List[List[float]]] = {}
    for path in arguments.meshes:
        signal = load_signal(path, "shape")
        assert isinstance(signal, ShapeSignal)
        for seed in range(arguments.seeds):
            for spread in arguments.spreads:
                for law, noise, row in fitted(signal, SPREADS[spread], laws, arguments, seed):
                    means.setdefault((path.stem, spread, law), []).append(row)
                    print(f"| {path.stem} | {seed} | {spread} | {law} | {noise:.3g} | {cells(row)} |", flush=True)
    print("\n| mesh | spread | law | IoU | Chamfer, % | Hausdorff, % | normals | parts | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (mesh, spread, law), rows in means.items():
        deviation = np.std(rows, axis=0, ddof=1 if len(rows) > 1 else 0)
        told = [f"{m:.5g} ± {d:.1g}" for m, d in zip(np.mean(rows, axis=0), deviation, strict=True)]
        print(f"| {mesh} | {spread} | {law} | {' | '.join(told)} |")


def cells(row: List[float]) -> str:
    return " | ".join(f"{value:.5g}" for value in row)


def fitted(
    signal: ShapeSignal, spread: NearSurface, laws: List[str], arguments: argparse.Namespace, seed: int
) -> List[Tuple[str, float, List[float]]]:
    """Each law's name, s0, and figures."""
    target = target_of(signal, options=TargetOptions(seed=seed, near_surface=spread))
    size = {"width": arguments.width, "depth": 4}
    plans: Dict[str, SettledPlan] = {}
    for law in laws:
        chosen = {"family": "siren"} if law == "plain" else {"purpose": law}
        if law == "earlier":
            chosen = dict(zip(("s0", "s1"), earlier_noise(signal, SineNetwork(3, **size)), strict=True))
        plans[law] = FieldPlan.of(**chosen, **size).settle(target, BATCH)  # pyright: ignore[reportArgumentType]
    step = [target.batch(0, BATCH)]
    trainings = {
        law: Training(plan.initial_field(), lambda _: step[0], arguments.steps, plan.learning_rate)
        for law, plan in plans.items()
    }
    seconds = dict.fromkeys(laws, 0.0)
    with flushed_denormals():
        for number in range(arguments.steps):
            step[0] = target.batch(number, BATCH)
            for law, training in trainings.items():
                started = time.process_time()
                training.advance()
                seconds[law] += time.process_time() - started
    target.close()
    found = []
    for law, plan in plans.items():
        network = trainings[law].field.eval().requires_grad_(False)
        field = FittedField(network, plan.description, target)  # pyright: ignore[reportArgumentType]
        figures = field.figures
        parts = trimesh.Trimesh(*extract_unit_mesh(field), process=False).body_count
        row = [*(figures.get(name, np.nan) for name in FIGURES), parts, seconds[law]]
        noise = plan.description.spectrum
        found.append((law, 0.0 if noise is None else noise.s0, row))
    return found


def earlier_noise(signal: ShapeSignal, network: SineNetwork) -> Tuple[float, float]:
    """s0 and s1 as they were up to November 2026."""
    psi = spectral_centroid(ShapeMeasure.samples(signal), remove_mean=True)
    omega = psi * ShapeMeasure.nyquist(signal)[0]
    scales = MatchingLaw(4.0, 1.4)(TargetSpectrum("shape", 3, 1, psi, omega), network)
    return min(scales.s0, 12.0), scales.s1


if __name__ == "__main__":
    main()
