"""`winner-ns export image`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

from winner_ns.commands.arguments import count

HELP = "an image: PNG, TIFF, JPEG, WebP, BMP, EXR or .npy"
EXAMPLE = "winner-ns export image RUN --scale 4 -o large.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=float, default=1.0, help="factor of width and height (default 1)")
    parser.add_argument("--size", type=count, nargs=2, metavar=("HEIGHT", "WIDTH"), help="in place of --scale")
    parser.add_argument("--bit-depth", type=int, choices=(8, 16, 32), help="32 is float (default: the original's)")


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.image import default_image_suffix, export_image
    from winner_ns.export.output import fitted_path, require_export
    from winner_ns.fitting.run import load_run
    from winner_ns.progress import progress_bar

    run = load_run(source)
    require_export(run, "image")
    output = options.output or fitted_path(run, default_image_suffix(run, options.bit_depth))
    with progress_bar() as report:
        return export_image(run, output, options.scale, options.bit_depth, options.size, report)
