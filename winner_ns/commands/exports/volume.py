"""`winner-ns export volume`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

HELP = "a volume (.npy) or video (.mp4, .png, .npy)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor of all axes, but of a video's time (default 1)"
    )
    parser.add_argument(
        "--bit-depth", type=int, choices=(8, 16, 32), help="32 is float (default: the original's numbers)"
    )


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.output import fitted_path
    from winner_ns.export.volume import default_volume_suffix, export_volume
    from winner_ns.fitting.run import load_run

    run = load_run(source)
    return export_volume(
        run, options.output or fitted_path(run, default_volume_suffix(run)), options.scale, options.bit_depth
    )
