"""Which part of a default run's CPU time goes into what.

    python -m docs.measurements.shares                            # `winner-ns fit` of a photograph, a sound and a shape
    python -m docs.measurements.shares --program ns-train bunny.obj

Each run is a process of its own with one thread, and has the packaged photograph of 512 x 512 pixels, five seconds of
the packaged chiptune's notes over and over, or pymeshlab's bunny. Counted are user and system seconds, those of the
process that draws a shape's points included; where a browser would look at it, none does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

PROGRAMS: Dict[str, Callable[[str, str], List[str]]] = {
    "fit": lambda data, folder: ["winner-ns", "fit", data, "-o", f"{folder}/run"],
    "ns-train": lambda data, folder: [
        "ns-train", "winner-siren", "--data", data, "--output-dir", folder, "--viewer.quit-on-train-completion", "True",
    ],
}  # fmt: skip


def watched(program: str, arguments: List[str]) -> None:
    """Runs a program in this process, and prints as JSON what its parts have taken."""
    import torch

    from winner_ns.fitting import training
    from winner_ns.fitting.adam import Adam

    spent: Dict[str, float] = {"forward and backward": 0.0, "Adam": 0.0}
    moments: List[float] = []

    def counted(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            begun = time.process_time()
            moments[1:] = [begun] if moments else []
            moments[:1] = [moments[0] if moments else begun]
            try:
                return function(*given, **named)
            finally:
                spent[part] += time.process_time() - begun

        return call

    training.training_loss = counted(training.training_loss, "forward and backward")
    torch.Tensor.backward = counted(torch.Tensor.backward, "forward and backward")  # type: ignore[method-assign]
    Adam.step = counted(Adam.step, "Adam")  # type: ignore[method-assign]
    torch.optim.Adam.step = counted(torch.optim.Adam.step, "Adam")  # type: ignore[method-assign]
    sys.argv = [program, *arguments]
    try:
        if program == "ns-train":
            from nerfstudio.scripts.train import entrypoint

            entrypoint()
        else:
            from winner_ns.commands.main import main as run

            run(arguments)
    finally:
        times = os.times()
        own, children = times.user + times.system, times.children_user + times.children_system
        in_training = moments[1] - moments[0]
        parts = {
            "start": moments[0],
            **spent,
            "batches, figures, checkpoints": in_training - sum(spent.values()),
            "points of the shape": children,
            "results": own - moments[1],
        }
        print(json.dumps(parts))


def signals(folder: Path) -> Dict[str, Path]:
    """The three that are measured."""
    import numpy as np
    import soundfile

    from winner_ns.samples import CHIPTUNE, installed

    samples, rate = soundfile.read(CHIPTUNE)
    soundfile.write(folder / "five-seconds.wav", np.resize(samples, 5 * rate), rate)
    return {
        "camera": installed("skimage", "data", "camera.png"),
        "five seconds": folder / "five-seconds.wav",
        "bunny": installed("pymeshlab", "tests", "sample_meshes", "bunny.obj"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="in place of the three")
    parser.add_argument("--program", choices=PROGRAMS, default="fit")
    parser.add_argument("--watch", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        watched(options.watch[0], options.watch[1:])
        return
    with tempfile.TemporaryDirectory() as name:
        given = {path.stem: path.resolve() for path in options.files} or signals(Path(name))
        rows: Dict[str, Dict[str, float]] = {}
        for signal, path in given.items():
            command = PROGRAMS[options.program](str(path), f"{name}/{signal}")
            done = subprocess.run(
                [sys.executable, "-m", "docs.measurements.shares", "--watch", *command],
                env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=True,
                cwd=Path(__file__).parents[2],
            )  # fmt: skip
            rows[signal] = json.loads(done.stdout.splitlines()[-1])
            print(f"{signal}: {rows[signal]}", file=sys.stderr, flush=True)
    parts = next(iter(rows.values()))
    print(f"| signal | CPU seconds | {' | '.join(parts)} |\n|---|---|{'---|' * len(parts)}")
    for signal, row in rows.items():
        whole = sum(row.values())
        shares = " | ".join(f"{100 * value / whole:.1f} %" for value in row.values())
        print(f"| {signal} | {whole:.0f} | {shares} |")


if __name__ == "__main__":
    main()
