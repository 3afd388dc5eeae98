"""`winner-ns export volume`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

from winner_ns.commands.arguments import count

HELP = "a volume (.npy) or video (.mp4, .png, .npy)"
EXAMPLE = "winner-ns export volume RUN --scale 2 -o fine.npy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor of all axes, but of a video's time (default 1)"
    )
    parser.add_argument(
        "--size", type=count, nargs="+", metavar="N", help="samples along each axis, after RUN, in place of --scale"
    )
    parser.add_argument(
        "--bit-depth", type=int, choices=(8, 16, 32), help="32 is float (default: the original's numbers)"
    )


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.output import fitted_path
    from winner_ns.export.volume import default_volume_suffix, export_volume
    from winner_ns.fitting.run import load_run
    from winner_ns.progress import progress_bar

    run = load_run(source)
    output = options.output or fitted_path(run, default_volume_suffix(run))
    with progress_bar() as report:
        return export_volume(run, output, options.scale, options.bit_depth, options.size, report)
