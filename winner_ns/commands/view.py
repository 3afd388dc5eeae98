"""`winner-ns view`: a finished run in nerfstudio's viewer, opened without its config.yml."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from winner_ns.commands.arguments import add_original, add_viewer
from winner_ns.errors import SignalError, flag_of, settings_called
from winner_ns.progress import announce
from winner_ns.safe_text import is_harmless, tell

HELP = "look at a run or a field file, a stranger's too: nothing in it is executed"
EXAMPLE = "winner-ns view RUN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="RUN", help="a run's folder, a checkpoint, a field file")
    add_original(parser)
    add_viewer(parser)


def run(options: argparse.Namespace) -> None:
    announce("reading", options.source)
    from winner_ns.fitting.finished_fields import load_finished
    from winner_ns.registry import resolve

    with settings_called(flag_of):
        finished = load_finished([options.source], options.data, options.decoded_limit, least=1)
    for warning in finished.warnings:
        tell(f"winner-ns: warning: {warning}", file=sys.stderr)
    if finished.original is not None:
        tell(f"original  {finished.original.path}")
    folder = options.source if options.source.is_dir() else options.source.parent
    if not all(map(is_harmless, str(folder.resolve()))):
        # nerfstudio's pages name the folder.
        raise SignalError(folder, "has characters in its path that cannot be shown", "rename it")
    viewer = "winner_ns.viewing.finished_viewer"
    announce("starting the viewer")
    start, serve = resolve(f"{viewer}:start_viewer"), resolve(f"{viewer}:serve")
    serve(start(finished.fields, finished.original, finished.tables, folder, options.host, options.port))
