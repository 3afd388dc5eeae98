"""What to train on between the samples, and with how wide a band, so that a result can be zoomed into.

    python -m docs.measurements.between_band [SIGNAL ...] [--steps 500] [--width 256] [--size 393]

Of each signal every second sample (along each axis) is taken for the whole, and fitted; PSNR at these, and at the ones
between, which no field has seen, beside cubic splines and kriging. Without a file, signals that come with installed
packages are fitted: a camera and a cup of coffee in colour (scikit-image), a membrane's potential (matplotlib). Images
are cut to `size` pixels, not reduced. One seed, one thread, 4096 samples a step; prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import numpy as np
import torch
from jaxtyping import Float

import winner_ns
from winner_ns.fitting.interpolation import kriged_halfway, splined
from winner_ns.fitting.kriging import estimates
from winner_ns.samples import SAMPLES
from winner_ns.signals import GridSignal, signal_of

SEED = 42
WAYS: Dict[str, Dict[str, Any]] = {
    "plain SIREN": {"family": "siren"},
    "kappa 0.5": {"purpose": "0.5"},
    "kappa 0.5, kriging": {"purpose": "0.5", "between": "kriging"},
    "fit": {"purpose": "fit"},
    "fit, kriging": {"purpose": "fit", "between": "kriging"},
}


def main() -> None:
    """Fits all signals in all ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("signals", nargs="*", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--size", type=int, default=393)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| signal | way | at the samples, dB | between, dB |\n|---|---|---|---|", flush=True)
    for name, whole in _signals(options.signals, options.size):
        axes = tuple(slice(None, None, 2) for _ in whole.shape)
        samples = whole.samples[axes]
        values = (whole.samples.astype(np.float64) - whole.value_offset) / whole.value_scale
        between = np.ones(whole.shape, dtype=bool)
        between[axes] = False
        for way, choices in WAYS.items():
            data = (samples, int(whole.hertz and 8000)) if whole.dimensions == 1 else samples
            field = winner_ns.fit(
                data, kind=whole.kind, width=options.width, steps=options.steps, batch_size=4096, seed=SEED,
                progress=False, device="cpu", **choices,
            )  # fmt: skip
            found = np.asarray(field.grid(whole.shape), np.float64).reshape(values.shape) - whole.value_offset
            found /= whole.value_scale
            print(f"| {name} | {way} | {_psnr(found[axes], values[axes])} | {_psnr(found[between], values[between])} |")
        for way, found in _interpolated(values[axes], whole.shape):
            print(f"| {name} | {way} | | {_psnr(found[between], values[between])} |", flush=True)


def _signals(files: "list[Path]", size: int) -> Iterator[Tuple[str, GridSignal]]:
    """Names and signals whose every axis has an odd number of samples."""
    with tempfile.TemporaryDirectory() as folder:
        for name in [] if files else ("camera", "coffee", "membrane"):
            files = [*files, Path(folder) / f"{name}{SAMPLES[name].suffix}"]
            SAMPLES[name].write(files[-1])
        for file in files:
            signal = signal_of(file)
            most = size if signal.dimensions > 1 else max(signal.shape)
            cut = np.asarray(signal.samples[tuple(_middle(n, most) for n in signal.shape)])
            yield file.stem, signal_of((cut, 8000) if signal.dimensions == 1 else cut, kind=signal.kind)


def _middle(count: int, most: int) -> slice:
    """At most so many samples, an odd number, from the middle."""
    kept = (min(count, most) - 1) // 2 * 2 + 1
    return slice((count - kept) // 2, (count - kept) // 2 + kept)


def _interpolated(
    lattice: Float[np.ndarray, "*shape c"], shape: Tuple[int, ...]
) -> Iterator[Tuple[str, Float[np.ndarray, "*fine c"]]]:
    yield "cubic splines", splined(lattice, shape)
    places = np.argwhere(np.ones(shape, dtype=bool))
    yield "kriging", estimates(kriged_halfway(lattice, shape), lattice, places).reshape(*shape, -1)


def _psnr(found: np.ndarray, truth: np.ndarray) -> str:
    """In dB, with the range 2 of values in [-1, 1]."""
    return f"{10 * np.log10(4 / np.mean((found - truth) ** 2)):.2f}"


if __name__ == "__main__":
    main()
