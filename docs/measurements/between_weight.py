"""How much estimates between the samples should count beside the samples themselves, and at which band and rate.

    python -m docs.measurements.between_weight IMAGE [IMAGE ...] [--holdout 0.1] [--weights 1 0.3 0.1 0.04]
    python -m docs.measurements.between_weight IMAGE [IMAGE ...] --weights --kappas 0.5 0.35 --rates 1e-3 7e-4 ...

Pictures are cut square and reduced; PSNR at the samples and at those that are withheld (a fraction, or every-second)
of a plain SIREN, FINER, the default without estimates, the default with estimates that are drawn so often where a
sample is drawn once, and of such kappas and rates with estimates as by default. 4 x 128, 500 steps of 4096 samples, one
seed and thread; prints a table in Markdown.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any, Dict

import torch
from PIL import Image, ImageOps

import winner_ns
from winner_ns.fitting import pseudo_samples

FAMILIES = {"plain SIREN": "siren", "FINER": "finer"}


def main() -> None:
    """Fits all pictures in all ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--holdout", default="0.1")
    parser.add_argument("--weights", nargs="*", type=float, default=[1, 0.3, 0.1, 0.04])
    parser.add_argument("--kappas", nargs="*", type=float, default=[])
    parser.add_argument("--rates", nargs="+", type=float, default=[7e-4], help="of those kappas")
    parser.add_argument("--mode", choices=["RGB", "L"], default="RGB", help="L: gray")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=4096)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways: Dict[str, Dict[str, Any]] = {name: {"family": family} for name, family in FAMILIES.items()}
    ways["no estimates"] = {"between": "none"}
    ways.update({f"weight {weight:g}": {"weight": weight} for weight in options.weights})
    for kappa, rate in product(options.kappas, options.rates):
        ways[f"kappa {kappa:g}, rate {rate:g}"] = {"purpose": kappa, "between": "kriging", "learning_rate": rate}
    usual = pseudo_samples.WEIGHT_IN_GAPS, pseudo_samples.WEIGHT_HALFWAY
    print("| image | way | at the samples, dB | withheld, dB | best classical, dB |\n|---|---|---|---|---|", flush=True)
    for path in options.images:
        picture = ImageOps.fit(Image.open(path).convert(options.mode), (options.size,) * 2, Image.Resampling.BOX)
        for way, choices in ways.items():
            own = choices.get("weight")
            weights = usual if own is None else (own, own)
            pseudo_samples.WEIGHT_IN_GAPS, pseudo_samples.WEIGHT_HALFWAY = weights
            others = {name: value for name, value in choices.items() if name != "weight"}
            field = winner_ns.fit(
                picture, width=options.width, steps=options.steps, batch_size=options.batch_size, seed=1,
                device="cpu", holdout=options.holdout, progress=False, **others,
            )  # fmt: skip
            names = ("psnr", "psnr_heldout", "psnr_interpolation")
            reached = " | ".join(f"{field.figures[name]:.2f}" for name in names)
            print(f"| {path.stem} | {way} | {reached} |", flush=True)


if __name__ == "__main__":
    main()
