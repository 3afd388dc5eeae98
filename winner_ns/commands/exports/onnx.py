"""`winner-ns export onnx`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

HELP = "the field as an ONNX model, coordinates to values in the original's units"
EXAMPLE = "winner-ns export onnx RUN -o field.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A model has no choices."""


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.onnx import export_onnx
    from winner_ns.export.output import fitted_path
    from winner_ns.fitting.run import load_run

    run = load_run(source)
    return export_onnx(run, options.output or fitted_path(run, ".onnx"))
