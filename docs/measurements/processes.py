"""What several processes make of one image: python -m docs.measurements.processes PHOTOGRAPH [--processes 1 2 4]

`torchrun -m winner_ns fit` with the same total batch, one thread a process: how far weights are from those of one
process after 20 steps, the figures at the end, and steps a second (without what comes before and after them).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

import torch

import winner_ns

SIZES = ["--width", "128", "--depth", "4", "--device", "cpu", "--quiet", "--set", "batch_size=4096"]


def fitted(photograph: Path, folder: Path, processes: int, steps: int) -> Dict[str, torch.Tensor]:
    """The weights of a run in so many processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    choices = ["--steps", str(steps), *SIZES]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    fit = [*torchrun, "-m", "winner_ns", "fit", str(photograph), "-o", str(folder), *choices]
    subprocess.run(fit, check=True, env=environment, stdout=subprocess.DEVNULL)
    return winner_ns.load_field(folder / "results" / "field.safetensors").network.state_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    early: List[Dict[str, torch.Tensor]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for count in options.processes:
            early.append(fitted(options.photograph, Path(temporary) / f"early{count}", count, 20))
            apart = max(float((early[0][name] - value).abs().max()) for name, value in early[-1].items())
            whole = Path(temporary) / f"whole{count}"
            fitted(options.photograph, whole, count, options.steps)
            table = json.loads((whole / "results" / "figures.json").read_text())
            rate = options.steps / table["training_seconds"]
            psnr = table["figures"]["psnr"]
            print(
                f"{count} processes: {apart:.1e} after 20 steps, {psnr:.3f} dB, {rate:.2f} steps a second", flush=True
            )


if __name__ == "__main__":
    main()
