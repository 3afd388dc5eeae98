"""`winner-ns export field`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

HELP = "the field itself, one .safetensors file for winner_ns.load_field"
EXAMPLE = "winner-ns export field RUN -o field.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bits", type=int, choices=(16, 8), help="round the weights to whole numbers; the loss is said (default: none)"
    )


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.field import export_field
    from winner_ns.export.output import fitted_path
    from winner_ns.fitting.run import load_run

    run = load_run(source)
    return export_field(run, options.output or fitted_path(run, ".safetensors"), options.bits)
