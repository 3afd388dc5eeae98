"""How wide a band, and how much noise on the second layer, fit the samples best.

    python -m docs.measurements.fitting_band [SIGNAL ...] [--steps 400] [--width 256] [--batch-size 2048]
        [--size PIXELS] [--rates 1e-3 7e-4 5e-4]

Fitted PSNR of the law matching at kappa 1 and at the purpose fit, for V = 3 and, of sounds, V = 16, and of images at
several rates. Images that are given as files are reduced to the size, in colour. Without a file, signals that come with
installed packages are fitted: the demo's sound, 8000 samples of a membrane's potential (matplotlib), a camera at 128
and 256 pixels and an astronaut in colour at 128 (scikit-image). One seed, one thread; prints a table in Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

import winner_ns
from winner_ns.fitting.target import target_of
from winner_ns.samples import CHIPTUNE, installed
from winner_ns.spectrum import MatchingLaw, SineNetwork, fitting_kappa

SEED = 42


def main() -> None:
    """Fits all signals in all ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("signals", nargs="*", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("--size", type=int, help="pixels of the longer edge that images are reduced to")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 5e-4], help="of images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    given = [(path.name, path if options.size is None else _reduced(path, options.size)) for path in options.signals]
    how = dict(width=options.width, steps=options.steps, batch_size=options.batch_size)
    print("| signal | P/N | Omega | Nyquist/Omega | kappa | V | rate | PSNR, dB |\n|---|---|---|---|---|---|---|---|")
    for name, data in given or _installed_signals():
        for row in _rows(data, options.rates, **how):
            print(f"| {name} | {' | '.join(row)} |", flush=True)


def _rows(data: Any, rates: List[float], width: int, **how: int) -> Iterator[List[str]]:
    target = target_of(data)
    spectrum = target.spectrum
    network = SineNetwork(spectrum.dimensions, width)
    weights = network.weights(spectrum.channels)
    assert spectrum.samples is not None
    each = weights / (spectrum.samples * spectrum.channels)
    sound = spectrum.dimensions == 1
    for kappa in (1.0, fitting_kappa(spectrum, weights)):
        for variance in (3.0, 16.0) if sound else (3.0,):
            scales = MatchingLaw(kappa, variance)(spectrum, network)
            for rate in (5e-4,) if sound else rates:
                field = winner_ns.fit(
                    data, s0=scales.s0, s1=scales.s1, width=width, learning_rate=rate, seed=SEED, progress=False,
                    device="cpu", **how,
                )  # fmt: skip
                numbers = (each, spectrum.omega, spectrum.nyquist / spectrum.omega, kappa, variance, rate)
                yield [*(f"{number:.3g}" for number in numbers), f"{field.figures['psnr']:.1f}"]


def _reduced(path: Path, size: int) -> UInt8[np.ndarray, "h w 3"]:
    with Image.open(path) as picture:
        factor = size / max(picture.size)
        edges = tuple(max(round(factor * edge), 1) for edge in picture.size)
        return np.asarray(picture.convert("RGB").resize(edges, Image.Resampling.BOX))


def _installed_signals() -> Iterator[Tuple[str, Any]]:
    yield "chiptune", CHIPTUNE
    yield "membrane", membrane()
    for name, mode, size in (("camera", "L", 128), ("camera", "L", 256), ("astronaut", "RGB", 128)):
        path = installed("skimage", "data", f"{name}.png")
        picture = Image.open(path).convert(mode).resize((size, size), Image.Resampling.BOX)
        yield f"{name}, {size} px", np.asarray(picture)


def membrane() -> Tuple[Float[np.ndarray, " samples"], int]:
    """8000 samples of a membrane's potential, from -1 to 1 about their mean, and their rate in Hz."""
    potential = np.fromfile(Path(matplotlib.get_data_path()) / "sample_data" / "membrane.dat", np.float32)[:8000]
    potential -= potential.mean()
    return potential / np.abs(potential).max(), 10000


if __name__ == "__main__":
    main()
