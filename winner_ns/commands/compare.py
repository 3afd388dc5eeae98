"""`winner-ns compare`: finished runs of one signal side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from winner_ns.commands.arguments import add_original, add_overwrite, add_viewer, facts_in_a_line, print_json
from winner_ns.commands.exports import web
from winner_ns.errors import SignalError, flag_of, settings_called
from winner_ns.progress import announce
from winner_ns.safe_text import tell

HELP = "look at finished runs of one signal side by side"
EXAMPLE = "winner-ns compare RUN RUN --save comparison.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run folders, checkpoints, field files or comparisons"
    )
    parser.add_argument("--save", type=Path, metavar="PNG", help="write a picture instead of opening the viewer")
    parser.add_argument(
        "--web", type=Path, metavar="HTML", help="write one page with all of them instead of opening the viewer"
    )
    web.add_page(parser.add_argument_group("with --web"))
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of opening the viewer")
    add_original(parser)
    add_viewer(parser)


def run(options: argparse.Namespace) -> None:
    announce("reading", *options.runs)
    from winner_ns.fitting.finished_fields import load_finished
    from winner_ns.writing import check_output

    for asked, suffix in ((options.save, ".png"), (options.web, ".html")):
        if asked:
            check_output(asked, (suffix,))
    for name in () if options.web else web.OF_PAGES:
        if getattr(options, name) is not None:
            raise SignalError(flag_of(name), "is for a page", "add --web PAGE.html, or leave it out")
    with settings_called(flag_of):
        finished = load_finished(options.runs, options.data, options.decoded_limit)
    for warning in finished.warnings:
        tell(f"winner-ns: warning: {warning}", file=sys.stderr)
    written = {}
    if options.web:
        with settings_called(flag_of):
            page = web.write_finished(finished, options.web, options)
        written["page"] = page
        tell(*(f"winner-ns: warning: {each}" for each in page.get("warnings", ())), file=sys.stderr)
    if options.save:
        from winner_ns.export.fields_comparison import write_fields_comparison

        if finished.original is None:
            raise SignalError(options.save, "cannot be drawn without the original", "put that back, or open the viewer")
        write_fields_comparison(options.save, finished.fields, finished.original)
    if options.json:
        saved = {"path": str(options.save)} if options.save else {}
        print_json({**saved, **written, "fields": finished.tables})
        return
    from rich.console import Console

    from winner_ns.figures.table import figures_table

    Console().print(figures_table(finished.tables))
    if options.save:
        tell(f"wrote {options.save}")
    if options.web:
        tell(f"wrote {options.web}: {facts_in_a_line(written['page'])}")
    if options.save or options.web:
        return
    from winner_ns.registry import resolve

    folder = options.runs[0] if options.runs[0].is_dir() else options.runs[0].parent
    viewer = "winner_ns.viewing.finished_viewer"
    start, serve = resolve(f"{viewer}:start_viewer"), resolve(f"{viewer}:serve")
    serve(start(finished.fields, finished.original, finished.tables, folder, options.host, options.port))
