"""`winner-ns eval-mesh`: how far two surfaces are apart."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from winner_ns.commands.arguments import count, positive, print_json
from winner_ns.progress import announce
from winner_ns.safe_text import tell

HELP = "figures of how far two surfaces are apart: Chamfer and Hausdorff distance, F-score, IoU, …"
EXAMPLE = "winner-ns eval-mesh scan.ply fitted.glb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", type=Path, metavar="A", help="the reference: a mesh, or points with normals")
    parser.add_argument("reconstruction", type=Path, metavar="B", help="what is judged, in the same frame and unit")
    parser.add_argument(
        "--samples", type=count, default=100_000, help="points on each mesh, and in the volume (default 100000)"
    )
    parser.add_argument(
        "--thresholds",
        type=positive,
        nargs="+",
        default=(0.1, 0.5, 1.0),
        metavar="PERCENT",
        help="of the F-score, in percent of the reference's bounding-box diagonal (default 0.1 0.5 1)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    announce("comparing", options.reference, "and", options.reconstruction)
    from winner_ns.figures.meshes import compare_files

    result = compare_files(options.reference, options.reconstruction, options.samples, options.thresholds, options.seed)
    if options.json:
        print_json(result)
        return
    from rich.console import Console

    from winner_ns.figures.mesh_table import mesh_figures_table

    Console().print(mesh_figures_table(result))
    for warning in result["warnings"]:
        tell(f"winner-ns: warning: {warning}", file=sys.stderr)
