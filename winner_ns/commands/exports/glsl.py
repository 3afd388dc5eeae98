"""`winner-ns export glsl`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

HELP = "a small field as a function to paste into a shader (GLSL)"
EXAMPLE = "winner-ns export glsl RUN -o field.glsl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="field", help="of the function (default field)")


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.glsl import export_glsl
    from winner_ns.export.output import fitted_path
    from winner_ns.fitting.run import load_run

    run = load_run(source)
    return export_glsl(run, options.output or fitted_path(run, ".glsl"), options.name)
