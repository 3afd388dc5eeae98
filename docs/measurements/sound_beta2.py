"""Whether Adam follows sounds better with a shorter memory of squared gradients.

    python -m docs.measurements.sound_beta2 [SOUND ...] [--steps 2000] [--seeds 3] [--withheld 0.1]

PSNR with beta2 = 0.999 and 0.95 after the same steps, at the samples or, with --withheld, at those that were withheld.
Without a file, sounds that come with installed packages are fitted: the demo's and 8000 samples of a membrane's
potential (matplotlib). 4 x 128 by default, one thread, 2048 samples a step; prints a table in Markdown with means and
sample deviations over the seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev
from typing import List

import torch

import winner_ns
from docs.measurements.fitting_band import membrane
from winner_ns.samples import CHIPTUNE

BETA2 = (0.999, 0.95)


def main() -> None:
    """Fits all sounds both ways, in alternation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sounds", nargs="*", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--withheld", type=float)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sounds = [(path.stem, path) for path in options.sounds] or [("chiptune", CHIPTUNE), ("membrane", membrane())]
    print("| sound | " + " | ".join(f"beta2 {beta2:g}" for beta2 in BETA2) + " | gain, dB |\n|---|---|---|---|")
    for name, sound in sounds:
        figures: List[List[float]] = [[], []]
        for seed in range(options.seeds):
            for beta2, reached in zip(BETA2, figures):
                field = winner_ns.fit(
                    sound, beta2=beta2, width=options.width, steps=options.steps, batch_size=2048, seed=seed,
                    holdout=options.withheld, progress=False, device="cpu",
                )  # fmt: skip
                reached.append(field.figures["psnr" if options.withheld is None else "psnr_heldout"])
        gains = [short - long for long, short in zip(*figures)]
        print(f"| {name} | {' | '.join(map(_spread, figures))} | {_spread(gains)} |", flush=True)


def _spread(numbers: List[float]) -> str:
    return f"{mean(numbers):.2f}" + (f" ± {stdev(numbers):.2f}" if len(numbers) > 1 else "")


if __name__ == "__main__":
    main()
