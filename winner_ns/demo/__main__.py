"""The demo: `make demo`, or `python -m winner_ns.demo [FOLDER]`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Dict, List

from winner_ns.demo.plateau_picture import plateau_picture
from winner_ns.demo.train_runs import FitRun, train
from winner_ns.errors import one_line_errors
from winner_ns.samples import CHIPTUNE, installed
from winner_ns.writing import disk_errors

SOUND_STEPS = 100
"""Enough for WINNER; a plain SIREN would sit on its plateau for much longer."""
IMAGE_STEPS, SHAPE_STEPS = 800, 1300
"""Fewer than the defaults: a demo is over in minutes."""


def main(output: Path) -> None:
    """Writes the demo's runs and pictures into a folder of its own."""
    shutil.rmtree(output / "runs", ignore_errors=True)
    plain = ["--family", "siren"]
    sound = ["--steps", str(SOUND_STEPS)]
    camera = installed("skimage", "data", "camera.png")
    bunny = installed("pymeshlab", "tests", "sample_meshes", "bunny.obj")
    start = time.monotonic()
    print(f"Three signals, fitted by `winner-ns fit`; logs and runs in {output}/")
    print(f"1/3 a sound far above a plain SIREN's band, {SOUND_STEPS} steps each")
    train([FitRun("chiptune", CHIPTUNE, sound), FitRun("chiptune-siren", CHIPTUNE, sound + plain)], output)
    print(f"2/3 a photograph of 512 x 512 pixels, at its pixels (--purpose fit), {IMAGE_STEPS} steps each")
    image = ["--steps", str(IMAGE_STEPS)]
    train(
        [FitRun("camera", camera, [*image, "--purpose", "fit"]), FitRun("camera-siren", camera, image + plain)], output
    )
    print(f"3/3 the Stanford bunny, {SHAPE_STEPS} steps")
    train([FitRun("bunny", bunny, ["--steps", str(SHAPE_STEPS)])], output)

    results: Dict[str, Dict[str, float]] = {}
    for folder in sorted((output / "runs").iterdir()):
        finished = FitRun(folder.name, folder).folder(output) / "results"
        results[folder.name] = json.loads((finished / "figures.json").read_text(encoding="utf-8"))["figures"]
        for path in finished.iterdir():
            if path.name == "comparison.png":
                shutil.copy(path, output / f"{folder.name}-comparison.png")
            elif not folder.name.endswith("-siren") and path.suffix in (".png", ".wav", ".ply"):
                shutil.copy(path, output / path.name)
    plateau_picture(
        output / "plateau.png",
        {
            name: FitRun(run, CHIPTUNE).folder(output)
            for name, run in (("WINNER", "chiptune"), ("plain SIREN", "chiptune-siren"))
        },
        CHIPTUNE,
    )
    table = figures_table(results)
    (output / "figures.md").write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}\n\n{time.monotonic() - start:.0f} s in all. Look at, listen to, open:")
    for path in sorted(p for p in output.iterdir() if p.is_file()):
        print(f"  {path}")
    program = Path(sys.executable).parent / "winner-ns"
    print(f"and look around in the viewer:\n  {program} view {FitRun('bunny', bunny).folder(output)}")


def figures_table(results: Dict[str, Dict[str, float]]) -> str:
    """Markdown of every run's figures."""
    lines: List[str] = ["| run | figures |", "|---|---|"]
    for name, figures in results.items():
        lines.append(f"| {name} | " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-results")
    with one_line_errors(), disk_errors(folder):
        main(folder)
