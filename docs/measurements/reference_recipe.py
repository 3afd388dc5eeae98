"""The paper's recipe through `ns-train`, beside figures measured on its authors' code.

    python -m docs.measurements.reference_recipe CLIP [CLIP ...] [--output DIR]

The preset configs/paper/reference-recipe.yaml: law reference-code, Adam 1e-4, StepLR 0.99 every 20 steps, 4 x 222,
full batch, the first 30,000 samples of the clip (mono, divided by the whole file's peak). PSNR is of the batch before
its update, with the authors' convention (peak 1 on values in [-1, 1], 6.02 dB below ours), at steps 50, 100 and 120.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List

import yaml

from docs.measurements.training_curve import training_curve
from winner_ns.demo.train_runs import Run, train

STEPS = (50, 100, 120)
PRESET = Path(__file__).parents[2] / "configs" / "paper" / "reference-recipe.yaml"


def flags_of(preset: Path) -> List[str]:
    """The flags of `ns-train` that a preset's mapping stands for."""
    flags: List[str] = []
    for name, value in yaml.safe_load(preset.read_text()).items():
        flags += [f"--{name}", str(value)]
    return flags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+", help="sounds")
    parser.add_argument("--output", type=Path, default=Path("reference-recipe"), help="folder of the runs")
    arguments = parser.parse_args()
    runs = [Run(clip.stem, clip, flags_of(PRESET)) for clip in arguments.clips]
    for run in runs:
        train([run], arguments.output)
    print("| clip | " + " | ".join(f"step {step}" for step in STEPS) + " |")
    print("|---|" + "---|" * len(STEPS))
    for run in runs:
        psnr = dict(zip(*training_curve(run.folder(arguments.output))))
        print(f"| {run.name} | " + " | ".join(f"{psnr[step] - 6.02:.2f}" for step in STEPS) + " |")


if __name__ == "__main__":
    main()
