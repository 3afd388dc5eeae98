"""CPU seconds from nothing to the first step, and of programs that train none.

    python -m docs.measurements.start
    python -m docs.measurements.start --beside EARLIER    # another checkout, in turn with this one

Each program runs in a process of its own, three times in alternation; the least of its user and system seconds counts.
Training programs make a single step of a small picture; what comes after it, results and checkpoints, is left out where
they can, and counted where they cannot.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

REPEATS = 3
PROGRAMS: Dict[str, List[str]] = {
    "python -c 'import torch'": ["python", "-c", "import torch"],
    "winner_ns.fit, first step": [
        "python",
        "-c",
        "import os, winner_ns; winner_ns.fit('photo.png', progress=False, callback=lambda state: os._exit(0))",
    ],
    "winner-ns fit, one step and its results": [
        "winner-ns", "fit", "photo.png", "-o", "run", "--overwrite", "--steps", "1", "--quiet",
    ],
    "ns-train winner-siren, one step": [
        "ns-train", "winner-siren", "--data", "photo.png", "--max-num-iterations", "1", "--vis", "tensorboard",
        "--pipeline.write-results", "False",
    ],
    "winner-ns inspect": ["winner-ns", "inspect", "photo.png"],
    "winner-ns export image": ["winner-ns", "export", "image", "run", "-o", "exported.png", "--overwrite"],
    "winner-ns export field": ["winner-ns", "export", "field", "run", "-o", "field.safetensors", "--overwrite"],
    "winner-ns --help": ["winner-ns", "--help"],
}  # fmt: skip


def cpu_seconds(command: List[str], folder: Path, checkout: Path) -> float:
    """User and system seconds of a program of this environment, and of the processes that it waits for, with a
    checkout's code."""
    program = str(Path(sys.executable).parent / command[0])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
    before = os.times()
    done = subprocess.run([program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-500:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    import numpy as np
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="also measures this one's code")
    beside = parser.parse_args().beside
    checkouts = [Path(__file__).parents[2]] if beside is None else [beside.resolve(), Path(__file__).parents[2]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, columns = np.mgrid[0:64, 0:64]
        Image.fromarray((4 * rows ^ 3 * columns).astype(np.uint8)).save(folder / "photo.png")
        least = {program: [float("inf")] * len(checkouts) for program in PROGRAMS}
        for _ in range(REPEATS):
            for program, command in PROGRAMS.items():
                for column, checkout in enumerate(checkouts):
                    seconds = cpu_seconds(command, folder, checkout)
                    least[program][column] = min(least[program][column], seconds)
    names = ["CPU seconds"] if beside is None else [str(beside), "CPU seconds"]
    print(f"| program | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for program, seconds in least.items():
        print(f"| `{program}` | {' | '.join(f'{each:.2f}' for each in seconds)} |")


if __name__ == "__main__":
    main()
