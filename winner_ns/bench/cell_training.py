"""One cell of a benchmark: the field that `ns-train` would train, and what is to be said of it; a test compares both
bit for bit."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
from torch import Tensor

from winner_ns.bench.cells import Cell
from winner_ns.bench.departures import LossSampler, initial_field, settle
from winner_ns.bench.metrics import has_samples
from winner_ns.bench.noisy_target import classical_figures, noisy_target, psnr_of_noise
from winner_ns.bench.unfinished import Curve, UnfinishedCell
from winner_ns.errors import SignalError
from winner_ns.fields.denormals import flushed_denormals
from winner_ns.fields.files import LoadedField, save_field
from winner_ns.fitting.evaluation import evaluate_field, quick_figures
from winner_ns.fitting.plan import SettledPlan, with_withheld
from winner_ns.fitting.target import Target, TargetOptions, target_of
from winner_ns.fitting.training import Training, synchronise
from winner_ns.kinds import KINDS
from winner_ns.signals import ReadOptions

POINTS = 40
"""Of a curve."""
CURVE_SAMPLES = 16384
"""That a point of a curve is measured on, the same ones every time."""
RESOLUTION = 256
"""Of meshes, for kinds that need none."""


@flushed_denormals()
def run_cell(
    cell: Cell, folder: Path, device: str = "cpu", tell: Callable[[Dict[str, Any]], None] = lambda progress: None
) -> Dict[str, Any]:
    """Trains a cell, from where an interrupted program left it, writes its files and returns its record.

    Args:
        cell: what is trained.
        folder: the benchmark's; the cell's own files go to `cell.folder` below it.
        device: where.
        tell: as for `UnfinishedCell`.

    Returns:
        Plain JSON: key, signal, kind, size (in words), field, family, seed; settings (all of the cell but its file);
        figures (of `metrics`), steps, learning_rate, beta2, noise (s0, s1, psi, omega, band, or None); curve: lists
        steps, seconds (of training alone) and figures by their names. What is infinite or no number is None.

    Raises:
        SignalError: the signal cannot be read or the field cannot be built.
    """
    clean = target_of_cell(cell)
    denoiser = cell.departures.get("denoiser", "none")
    target = noisy_target(clean, cell.sigma, cell.seed, denoiser) if cell.task == "denoise" else clean
    target, trained = with_withheld(target, [cell.plan]), None
    try:
        settled = settle(cell.plan, target, cell.batch, cell.departures)
        trained = settled.target  # The same, with what the plan has between the samples.
        network = initial_field(settled, cell.departures).to(device)
        loaded = LoadedField(network, settled.description)
        training = _training(cell, network, trained, settled)

        start = time.monotonic()
        state = UnfinishedCell(folder, cell, tell)
        curve = train(training, trained, lambda: quick_figures(loaded, clean, CURVE_SAMPLES), state)
    finally:
        target.close()
        if trained is not None:
            trained.close()
    network.requires_grad_(False)
    figures: Dict[str, Any] = dict(evaluate_field(loaded, clean, cell.resolution or RESOLUTION))
    if cell.task == "denoise":
        figures["psnr_best"] = max((x for x in [figures["psnr"], *curve["psnr"]] if math.isfinite(x)), default=None)
        figures["psnr_noisy"] = psnr_of_noise(clean, target)
        figures |= classical_figures(clean, target)
    figures["training_seconds"] = curve["seconds"][-1]
    figures["parameters"] = sum(p.numel() for p in network.parameters())
    excerpt = clean.row.get("excerpt")()
    excerpt.write(loaded, clean, target, folder / cell.folder, cell.resolution or RESOLUTION)
    save_field(folder / cell.folder / "field.safetensors", network, settled.description)
    report = settled.description.spectrum
    noise = {name: getattr(report, name) for name in ("s0", "s1", "psi", "omega", "band")} if report else None
    record = {
        "key": cell.key,
        "signal": cell.signal,
        "kind": cell.kind,
        "field": cell.field,
        "family": cell.plan.field.family,
        "seed": cell.seed,
        "size": excerpt.size(clean.signal),
        "steps": cell.steps,
        "learning_rate": settled.learning_rate,
        "beta2": settled.beta2,
        "noise": noise,
        "figures": figures,
        "curve": curve,
        "folder": cell.folder,
        "settings": {name: value for name, value in cell.as_dict().items() if name not in ("path", "content")},
        "seconds": state.earlier + time.monotonic() - start,
    }
    return _finite(record)


def train(training: Training, target: Target, measure: Callable[[], Dict[str, float]], state: UnfinishedCell) -> Curve:
    """Makes all steps; returns the curve: steps, seconds of training, and what is measured."""
    moments = set(curve_steps(training.steps))
    seconds, curve = state.resume(training)
    if training.step < training.steps:
        # What a target prepares for its first batch is no part of the training's time.
        target.batch(training.step, state.cell.batch)
    while True:
        if training.step in moments:
            for name, value in {"steps": training.step, "seconds": round(seconds, 4), **measure()}.items():
                curve.setdefault(name, []).append(value)
        if training.step == training.steps:
            return curve
        synchronise(training.device)
        started = time.perf_counter()
        training.advance()
        synchronise(training.device)
        seconds += time.perf_counter() - started
        state.keep(training, seconds, curve)


def curve_steps(steps: int) -> List[int]:
    """Steps at which a curve has its points: close together at the start, where most happens."""
    return sorted({round(steps * (k / POINTS) ** 2) for k in range(POINTS + 1)})


def target_of_cell(cell: Cell) -> Target:
    """What a cell's field is judged by, and trained on where the task adds no noise.

    Raises:
        SignalError: the signal cannot be read, or its kind has not what the task wants.
    """
    row, path = KINDS[cell.kind], Path(cell.path)
    if not has_samples(cell.kind) and (cell.task != "fit" or cell.departures.get("sampling")):
        problem = f"{row.words} has no samples of its own for the task {cell.task}"
        raise SignalError(path, problem, f"use the task fit, and no sampling, for {row.plural}")
    read = ReadOptions(duration_samples=cell.samples, mono=True) if row.takes_read_options else None
    return target_of(path, cell.kind, TargetOptions(cell.holdout, seed=cell.seed), read)


def _training(cell: Cell, network: Any, target: Target, settled: SettledPlan) -> Training:
    sampler = LossSampler(target, cell.batch, cell.seed) if cell.departures.get("sampling") else None

    def batch(step: int) -> "tuple[Tensor, Tensor]":
        return target.batch(step, cell.batch) if sampler is None else sampler.batch(step, network, training.device)

    loss = target.describe().get("loss", "")
    adam = settled.learning_rate, cell.schedule, loss, settled.beta2, settled.weight_decay
    training = Training(network, batch, cell.steps, *adam, settled.best_state(cell.steps))
    return training


def _finite(value: Any) -> Any:
    """The same with None in place of numbers that JSON does not know, and plain types."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, (np.floating, np.integer, Tensor)):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
