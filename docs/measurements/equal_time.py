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
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch

from docs.measurements.step import reference_network
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.adam import Adam
from winner_ns.fitting.evaluation import evaluate_field
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.target import TargetOptions, target_of
from winner_ns.fitting.training import rate_factor, training_loss
from winner_ns.kinds import KINDS
from winner_ns.signals import ReadOptions, detect_kind

READ = ReadOptions(duration_samples=150_000, mono=True)
PLAIN_RATES = (3e-4, 5e-4, 1e-3)

METHODS: Dict[str, Dict[str, Any]] = {
    "paper recipe": {"law": "reference-code", "learning_rate": 1e-4, "beta2": 0.999, "width": 222},
    "ours, fit": {"purpose": "fit"},
    "ours, interpolate": {"purpose": "interpolate"},
    **{f"plain SIREN {rate:g}": {"family": "siren", "learning_rate": rate} for rate in PLAIN_RATES},
}
"""Name -> the choices of its plan."""
RECIPE = "paper recipe"
WITHHOLDING = [name for name in METHODS if name not in (RECIPE, "ours, fit")]
"""Methods that are judged at the 10 % of the samples that they do not see."""
PARTS = 10**6
"""Of the time, that the cosine goes by."""


def run_cell(path: Path, method: str, seconds: float, seed: int) -> Dict[str, Any]:
    """Trains one signal by one method for some seconds and returns its figures."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    recipe = method == RECIPE
    read = READ if KINDS[detect_kind(path)].takes_read_options else None
    options = TargetOptions(holdout="0.1" if method in WITHHOLDING else "none", seed=seed)
    target = target_of(path, options=options, read=read)
    plan = FieldPlan.of(**METHODS[method])
    settled = plan.settle(target, 0 if recipe else None)
    field, report = settled.initial_field(), settled.description.spectrum
    assert report is not None and settled.description.order is not None
    network = reference_network(field) if recipe else field
    optimizer, batch_size = Adam(network.parameters(), settled.beta2), settled.description.order.batch_size
    whole = target.batch(0, 0) if recipe else None

    start, step = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        decay = rate_factor("step", step, 0) if recipe else rate_factor("cosine", int(PARTS * elapsed / seconds), PARTS)
        x, y = target.batch(step, batch_size) if whole is None else whole
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean() if recipe else training_loss(field, (x, y), "")[1]
        loss.backward()
        optimizer.step(settled.learning_rate * decay)
        step += 1
    if recipe:
        trained = [p.detach() for p in network.parameters()]
        with torch.no_grad():
            for parameter, value in zip(field.parameters(), trained):
                parameter.copy_(value)
    figures = evaluate_field(LoadedField(field, settled.description), target)
    return {
        "signal": path.name,
        "method": method,
        "seconds": seconds,
        "seed": seed,
        "steps": step,
        "rate": settled.learning_rate,
        "psi": report.psi,
        "omega": report.omega,
        "band": report.band,
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
