"""Defaults beside the paper's recipe and beside plain SIREN, at equal wall-clock time.

    python -m docs.measurements.equal_time SIGNAL [SIGNAL ...] --seconds 60

For every signal two tables' worth of cells, each trained for the same number of seconds on one thread:

- fitted PSNR on all samples: the paper's recipe (law reference-code, first and hidden omega_0 30, 4 x 222, Adam 1e-4,
  StepLR 0.99 every 20 steps, full batch, separate Linear and sine modules under autograd) against ours with the purpose
  "fit" (mini-batches, cosine decay, the written-out gradient);
- PSNR at the 10 % withheld samples: ours with the purpose "interpolate" against plain SIREN at three learning rates,
  with our own batches, decay and gradient, and against classical interpolation.

Sounds: mono, the first 150,000 samples. Results are appended to a JSON-lines file as they come; cells that it holds are
not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch

from docs.measurements.step import reference_network
from winner_ns.fields import build_field, mean_squared_error, winner_init
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.description import describe_run, field_settings, noise_report
from winner_ns.fitting.evaluation import evaluate_field
from winner_ns.fitting.settings import SETTINGS, learning_rate
from winner_ns.fitting.target import load_target, target_kind
from winner_ns.signals import ReadOptions, detect_kind

READ = ReadOptions(duration_samples=150_000, mono=True)
PLAIN_RATES = (3e-4, 5e-4, 1e-3)

METHODS: Dict[str, Dict[str, Any]] = {
    "paper recipe": {"holdout": "none", "law": "reference-code", "rate": 1e-4, "recipe": True},
    "ours, fit": {"holdout": "none", "law": "matching", "purpose": "fit"},
    "ours, interpolate": {"holdout": "0.1", "law": "matching", "purpose": "interpolate"},
    **{
        f"plain SIREN {rate:g}": {"holdout": "0.1", "family": "siren", "rate": rate, "law": "matching"}
        for rate in PLAIN_RATES
    },
}


def run_cell(
    path: Path, method: str, seconds: float, seed: int, overrides: Optional[Dict[str, Any]] = None
) -> Dict[str, Any]:
    """Trains one signal by one method for some seconds and returns its figures."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    how = {
        "family": "winner",
        "purpose": None,
        "rate": None,
        "recipe": False,
        **METHODS.get(method, {}),
        **(overrides or {}),
    }
    read = READ if detect_kind(path) == "audio" else ReadOptions()
    target = load_target(path, "auto", how["holdout"], astuple(read), 2**19, seed)
    kind = target_kind(target)
    settings = field_settings(
        target, how["family"], 222 if how["recipe"] else how.get("width"), None, omega_0=30.0, first_omega_0=30.0
    )
    report = noise_report(target, settings, how["family"], law=how["law"], purpose=how["purpose"])
    assert report is not None
    generator = torch.Generator().manual_seed(seed)
    description = describe_run(target, how["family"], settings, report, how["holdout"])
    field = build_field(how["family"], target.signal.dimensions, target.signal.channels, settings, generator)
    if how["family"] == "winner":
        winner_init(field, report.s0, report.s1, generator, report.first_layer_divisor)
    batch_size = 0 if how["recipe"] else how.get("batch_size", SETTINGS[kind].batch_size)
    rate = how["rate"] or learning_rate(kind, how["family"], report)
    network = reference_network(field) if how["recipe"] else field
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    whole = target.batch(0, 0, 0, 1) if how["recipe"] else None

    start, step = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        decay = 0.99 ** (step // 20) if how["recipe"] else 0.5 * (1 + math.cos(math.pi * elapsed / seconds))
        optimizer.param_groups[0]["lr"] = rate * decay
        x, y = target.batch(step, batch_size, 0, 1) if whole is None else whole
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean() if how["recipe"] else mean_squared_error(network, x, y)
        loss.backward()
        optimizer.step()
        step += 1
    if how["recipe"]:
        trained = [p.detach() for p in network.parameters()]
        with torch.no_grad():
            for parameter, value in zip(field.parameters(), trained):
                parameter.copy_(value)
    figures = evaluate_field(LoadedField(field, description), target)
    return {
        "signal": path.name,
        "method": method,
        "seconds": seconds,
        "seed": seed,
        "steps": step,
        "rate": rate,
        "psi": report.psi,
        "omega": report.omega,
        "band": report.band,
        "overrides": overrides or {},
        **{name: round(value, 3) for name, value in figures.items()},
    }


def table(results: List[Dict[str, Any]]) -> str:
    """Markdown of the results, a signal a row; means over seeds."""

    def mean(signal: str, method: str, figure: str) -> float:
        values = [r[figure] for r in results if r["signal"] == signal and r["method"] == method and figure in r]
        return float(np.mean(values)) if values else math.nan

    lines = [
        "| signal | paper's recipe | ours, fit | plain SIREN, best rate | ours, interpolate | classical |",
        "|---|---|---|---|---|---|",
    ]
    for signal in dict.fromkeys(r["signal"] for r in results):
        plain = {rate: mean(signal, f"plain SIREN {rate:g}", "psnr_heldout") for rate in PLAIN_RATES}
        best = max(plain, key=lambda rate: -math.inf if math.isnan(plain[rate]) else plain[rate])
        cells = [
            f"{mean(signal, 'paper recipe', 'psnr'):.2f}",
            f"{mean(signal, 'ours, fit', 'psnr'):.2f}",
            f"{plain[best]:.2f} ({best:g})",
            f"{mean(signal, 'ours, interpolate', 'psnr_heldout'):.2f}",
            f"{mean(signal, 'ours, interpolate', 'psnr_interpolation'):.2f}",
        ]
        lines.append(f"| {signal} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("signals", type=Path, nargs="+", help="images and sounds")
    parser.add_argument("--seconds", type=float, default=60.0, help="training time of every cell")
    parser.add_argument("--seeds", type=int, default=1, help="repetitions")
    parser.add_argument("--processes", type=int, default=1, help="cells at the same time, one thread each")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), help="which cells")
    parser.add_argument("--results", type=Path, default=Path("equal-time.jsonl"), help="results so far, and to come")
    arguments = parser.parse_args()

    results = (
        [json.loads(line) for line in arguments.results.read_text().splitlines()] if arguments.results.exists() else []
    )
    done = {(r["signal"], r["method"], r["seconds"], r["seed"]) for r in results}
    cells: List[Tuple[Path, str, float, int]] = [
        (path, method, arguments.seconds, seed)
        for seed in range(arguments.seeds)
        for path in arguments.signals
        for method in arguments.methods
        if (path.name, method, arguments.seconds, seed) not in done
    ]
    with ProcessPoolExecutor(arguments.processes) as pool, open(arguments.results, "a") as file:
        for future in as_completed([pool.submit(run_cell, *cell) for cell in cells]):
            results.append(future.result())
            print(json.dumps(results[-1]), file=file, flush=True)
            print(f"{len(results):4d}  " + json.dumps(results[-1]), flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
