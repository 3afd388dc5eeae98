"""One cell of a benchmark: the field that `ns-train` would train, trained without nerfstudio's start-up.

The same target, weights, batches, optimiser and schedule as winner-siren's; a test compares the results bit for bit.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.bench.cells import Cell
from winner_ns.bench.departures import LossSampler, noise_on_layers, scales_of_another_kind
from winner_ns.bench.unfinished import Curve, UnfinishedCell
from winner_ns.errors import SignalError
from winner_ns.export.field import export_field
from winner_ns.fields import build_field, mean_squared_error, winner_init
from winner_ns.fields.denormals import flushed_denormals
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.description import describe_run, field_settings, noise_report
from winner_ns.fitting.evaluation import evaluate_field, quick_figures
from winner_ns.fitting.settings import learning_rate
from winner_ns.fitting.target import GridTarget, ShapeTarget, Target, channels_of, dimensions_of, load_target
from winner_ns.signals import ReadOptions
from winner_ns.spectrum import SineNetwork
from winner_ns.spectrum.target import NoiseReport, grid_spectrum

POINTS = 40
"""Of a curve."""
CURVE_SAMPLES = 16384
"""That a point of a curve is measured on, the same ones every time."""
SHAPE_SAMPLES = 2**19
"""Points drawn from a shape at a time, as ns-train does."""


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
        figures (of METRICS), steps, learning_rate,
        noise (s0, s1, psi, omega, band, or None); curve: lists steps, seconds (of training alone) and figures by their
        names. What is infinite or no number is None.

    Raises:
        SignalError: the signal cannot be read or the field cannot be built.
    """
    from winner_ns.bench.files_of_a_cell import write_files

    clean = _target(cell)
    target = noisy_target(clean, cell.sigma, cell.seed) if cell.task == "denoise" else clean
    settings, report = _settle(cell, target)
    order = {"seed": cell.seed, "batch_size": cell.batch}
    description = describe_run(target, cell.family, settings, report, cell.holdout, order)
    if cell.departures:
        description["departures"] = cell.departures
    network = initial_network(cell, target, settings, report).to(device)
    loaded = LoadedField(network, description)
    rate = cell.learning_rate or learning_rate(cell.kind, cell.family, report)

    start = time.monotonic()
    state = UnfinishedCell(folder, cell, tell)
    curve = train(cell, network, target, rate, device, lambda: quick_figures(loaded, clean, CURVE_SAMPLES), state)
    network.requires_grad_(False)
    if isinstance(target, ShapeTarget):
        target.close()
    figures: Dict[str, Any] = dict(evaluate_field(loaded, clean, cell.resolution or 256))
    if cell.task == "denoise":
        figures["psnr_best"] = max((x for x in [figures["psnr"], *curve["psnr"]] if math.isfinite(x)), default=None)
        figures["psnr_noisy"] = _psnr_of_input(clean, target)
    figures["training_seconds"] = curve["seconds"][-1]
    figures["parameters"] = sum(p.numel() for p in network.parameters())
    own = folder / cell.folder
    write_files(loaded, clean, target, own, cell.resolution or 256)
    export_field(loaded, own / "field.safetensors")
    noise = {name: getattr(report, name) for name in ("s0", "s1", "psi", "omega", "band")} if report else None
    record = {
        "key": cell.key,
        "signal": cell.signal,
        "kind": cell.kind,
        "field": cell.field,
        "family": cell.family,
        "seed": cell.seed,
        "size": size_of(clean),
        "steps": cell.steps,
        "learning_rate": rate,
        "noise": noise,
        "figures": figures,
        "curve": curve,
        "folder": cell.folder,
        "settings": {name: value for name, value in asdict(cell).items() if name not in ("path", "content")},
        "seconds": state.earlier + time.monotonic() - start,
    }
    return _finite(record)


def size_of(target: Target) -> str:
    """How large a signal is, in words."""
    signal = target.signal
    if isinstance(target, ShapeTarget):
        facts = signal.describe()
        return f"{facts['faces']:,} faces" if "faces" in facts else f"{facts.get('points', 0):,} points"
    if signal.kind == "audio":
        return f"{signal.shape[0]:,} samples, {signal.metadata['sample_rate']:g} Hz"
    return " x ".join(str(n) for n in signal.shape)


def train(
    cell: Cell,
    network: nn.Module,
    target: Target,
    rate: float,
    device: str,
    measure: Callable[[], Dict[str, float]],
    state: UnfinishedCell,
) -> Curve:
    """Adam steps with the cell's schedule; returns the curve: steps, seconds of training, and what is measured."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, eps=1e-8)
    sampler = LossSampler(target, cell.batch, cell.seed) if cell.departures.get("sampling") else None
    moments = set(curve_steps(cell.steps))
    done, seconds, curve = state.resume(network, optimizer)
    for step in range(done, cell.steps + 1):
        if step in moments:
            for name, value in {"steps": step, "seconds": round(seconds, 4), **measure()}.items():
                curve.setdefault(name, []).append(value)
        if step == cell.steps:
            break
        started = _now(device)
        optimizer.param_groups[0]["lr"] = rate * factor(cell.schedule, step, cell.steps)
        x, y = sampler.batch(step, network, torch.device(device)) if sampler else target.batch(step, cell.batch, 0, 1)
        optimizer.zero_grad()
        mean_squared_error(network, x.to(device), y.to(device)).backward()
        optimizer.step()
        seconds += _now(device) - started
        state.keep(step + 1, seconds, curve, network, optimizer)
    return curve


def curve_steps(steps: int) -> List[int]:
    """Steps at which a curve has its points: close together at the start, where most happens."""
    return sorted({round(steps * (k / POINTS) ** 2) for k in range(POINTS + 1)})


def factor(schedule: str, step: int, steps: int) -> float:
    """The learning rate over that at the start."""
    if schedule == "cosine":
        return 0.5 * (1.0 + float(np.cos(np.pi * min(step / max(steps, 1), 1.0))))
    return 0.99 ** (step // 20) if schedule == "step" else 1.0


def noisy_target(clean: GridTarget, sigma: float, seed: int) -> GridTarget:
    """The target with Gaussian noise of standard deviation sigma on its values in [-1, 1]; its spectrum is the noisy
    one's, as nobody who denoises knows the other."""
    signal = clean.signal
    noise = np.random.default_rng(seed).normal(0.0, sigma * signal.value_scale, signal.samples.shape)
    noisy = replace(signal, samples=(signal.samples + noise).astype(np.float32))
    spectrum = grid_spectrum(signal.kind, noisy.samples, signal.nyquist, signal.value_offset)
    return replace(clean, signal=noisy, spectrum=spectrum, variance=clean.variance + sigma**2)


def initial_network(cell: Cell, target: Target, settings: Dict[str, Any], report: Optional[NoiseReport]) -> nn.Module:
    """The field before training, as ns-train draws it with that seed."""
    generator = torch.Generator().manual_seed(cell.seed)
    network = build_field(cell.family, dimensions_of(target), channels_of(target), settings, generator)
    if cell.family == "winner" and report is not None:
        layers = cell.departures.get("noise_layers")
        if layers:
            noise_on_layers(network, report.s0, report.s1, layers, generator)
        else:
            winner_init(network, report.s0, report.s1, generator, report.first_layer_divisor)
    return network


def _target(cell: Cell) -> Target:
    read = ReadOptions(duration_samples=cell.samples, mono=True) if cell.kind == "audio" else ReadOptions()
    path = Path(cell.path)
    target = load_target(path, cell.kind, cell.holdout, astuple(read), SHAPE_SAMPLES, cell.seed)
    if isinstance(target, ShapeTarget) and (cell.task != "fit" or cell.departures.get("sampling")):
        raise SignalError(path, f"a shape cannot be had with the task {cell.task}", "use the task fit for shapes")
    return target


def _settle(cell: Cell, target: Target) -> Tuple[Dict[str, Any], Optional[NoiseReport]]:
    settings = field_settings(
        target, cell.family, cell.width, cell.depth, omega_0=cell.omega_0, first_omega_0=cell.first_omega_0
    )
    settings.update(cell.options)
    if cell.departures.get("sigma"):
        # pi sigma is the spread of the features' frequencies on [-1, 1]: as wide a band as the target's centroid.
        settings["sigma"] = target.spectrum.omega / math.pi
    law, s0, s1 = cell.law, cell.s0, cell.s1
    if "constants_of" in cell.departures:
        shape = (dimensions_of(target), settings["width"], settings["depth"], cell.omega_0, cell.first_omega_0)
        scales = scales_of_another_kind(target.spectrum, SineNetwork(*shape), cell.departures["constants_of"])
        law, s0, s1 = "explicit", scales.s0, scales.s1
    return settings, noise_report(target, settings, cell.family, law=law, purpose=cell.purpose, s0=s0, s1=s1)


def _psnr_of_input(clean: GridTarget, noisy: GridTarget) -> float:
    signal = clean.signal
    error: Float[np.ndarray, "*shape c"] = (noisy.signal.samples - signal.samples) / signal.value_scale
    return 10.0 * math.log10(4.0 / float(np.mean(error.astype(np.float64) ** 2)))


def _now(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _finite(value: Any) -> Any:
    """The same with None in place of numbers that JSON does not know, and plain types."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, (np.floating, np.integer, Tensor)):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
