"""Families of fields on shapes, trained side by side on the same points: mean and standard deviation over seeds.

    python -m docs.measurements.shapes MESH [MESH ...] [--fields siren winner finer] [--seeds 3] [--output DIR]

Each mesh and seed is one `ns-train winner-compare` with its defaults; runs whose figures are there already are not run
again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from winner_ns.demo.train_runs import Run, train

FIGURES = {
    "iou": "IoU",
    "chamfer_percent_of_diagonal": "Chamfer, % of diagonal",
    "normal_consistency": "normal consistency",
    "seconds": "seconds",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--fields", nargs="+", default=["siren", "winner", "finer"], help="as for winner-compare")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="default: that of shapes")
    parser.add_argument("--output", type=Path, default=Path("bench-shapes"), help="folder of the runs")
    arguments = parser.parse_args()
    print("| shape | field | " + " | ".join(FIGURES.values()) + " |")
    print("|---|---|" + "---|" * len(FIGURES))
    for mesh in arguments.meshes:
        tables: Dict[str, List[Dict[str, Any]]] = {}
        for seed in range(arguments.seeds):
            flags = ["--machine.seed", str(seed), "--pipeline.model.fields", *arguments.fields]
            if arguments.steps:
                flags += ["--max-num-iterations", str(arguments.steps)]
            run = Run(f"{mesh.stem}-{seed}", mesh, flags, method="winner-compare")
            results = run.folder(arguments.output) / "results" / "figures.json"
            if not results.is_file():
                train([run], arguments.output)
            for name, table in json.loads(results.read_text())["fields"].items():
                tables.setdefault(name, []).append({**table["figures"], "seconds": table["training_seconds"]})
        for name, rows in tables.items():
            cells = [_cell([row[figure] for row in rows]) for figure in FIGURES]
            print(f"| {mesh.stem} | {name} | " + " | ".join(cells) + " |", flush=True)


def _cell(values: List[float]) -> str:
    return f"{np.mean(values):.4g} ± {np.std(values, ddof=1 if len(values) > 1 else 0):.2g}"


if __name__ == "__main__":
    main()
