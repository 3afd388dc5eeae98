"""`winner-ns export WHAT`: what a run has fitted, as a file that other programs read."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from winner_ns.commands.arguments import add_overwrite, facts_in_a_line, print_json
from winner_ns.commands.exports import audio, field, glsl, image, mesh, onnx, volume, web
from winner_ns.errors import flag_of, settings_called
from winner_ns.progress import announce
from winner_ns.safe_text import tell

HELP = "write what a run has fitted to a file that other programs read"
EXAMPLE = image.EXAMPLE

EXPORTS = {
    "image": image,
    "audio": audio,
    "mesh": mesh,
    "volume": volume,
    "field": field,
    "web": web,
    "glsl": glsl,
    "onnx": onnx,
}
"""Modules with HELP and EXAMPLE (one line each), `add_arguments(parser)` and `export(run, options)`, which gives plain
JSON with the path."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    exports = parser.add_subparsers(required=True, metavar="WHAT")
    for name, module in EXPORTS.items():
        of_export = exports.add_parser(
            name, help=module.HELP, description=module.HELP, epilog=f"example: {module.EXAMPLE}"
        )
        of_export.add_argument(
            "source", type=Path, metavar="RUN", help="a run's folder, its config.yml, a checkpoint, a field file"
        )
        of_export.add_argument(
            "-o",
            "--output",
            type=Path,
            help="the file to write; its suffix says the format (default: NAME-fitted here)",
        )
        add_overwrite(of_export)
        of_export.add_argument("--json", action="store_true", help="print one JSON object")
        of_export.set_defaults(export=module.export)
        module.add_arguments(of_export)


def run(options: argparse.Namespace) -> None:
    announce("reading", options.source)
    started = time.monotonic()
    with settings_called(flag_of):
        result = options.export(options.source, options)
    result["seconds"] = round(time.monotonic() - started, 3)
    if options.json:
        print_json(result)
        return
    tell(f"{result['path']}: {facts_in_a_line(result)}")
    for warning in result.get("warnings", ()):
        tell(f"winner-ns: warning: {warning}", file=sys.stderr)
