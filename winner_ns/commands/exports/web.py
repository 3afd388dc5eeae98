"""`winner-ns export web`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Dict

from winner_ns.commands.arguments import add_original, count, given
from winner_ns.safe_text import tell

HELP = "one .html that shows the field in any browser, without a network"
EXAMPLE = "winner-ns export web RUN -o field.html"
OF_PAGES = ("bits", "original", "resolution", "faces")
"""What may be asked of a page."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_page(parser)
    add_original(parser)


def add_page(parser: Any) -> None:
    """What may be asked of a page."""
    parser.add_argument("--bits", type=int, choices=(16, 8), help="of the weights in a page (default 16)")
    parser.add_argument(
        "--original", action="store_true", default=None, help="of images and sounds: put what was fitted into it, too"
    )
    parser.add_argument("--resolution", type=int, help="of meshes: grid points along each axis (default 192)")
    parser.add_argument("--faces", type=count, help="of meshes: simplify to about so many (default 100,000)")


def page_options(options: argparse.Namespace, report: Any) -> Any:
    """The PageOptions that the arguments of `add_page` stand for."""
    from winner_ns.export.web.exhibit import PageOptions

    return PageOptions(**given(options, OF_PAGES), report=report)


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.output import fitted_path
    from winner_ns.fitting.finished_fields import load_finished

    finished = load_finished([source], options.data, options.decoded_limit, least=1)
    if options.original or options.data:
        for warning in finished.warnings:
            tell(f"winner-ns: warning: {warning}", file=sys.stderr)
    first = next(iter(finished.fields.values()))
    return write_finished(finished, options.output or fitted_path(first, ".html"), options)


def write_finished(finished: Any, output: Path, options: argparse.Namespace) -> Dict[str, Any]:
    """Writes the page of finished runs."""
    from winner_ns.export.web.page import original_of_page, write_page
    from winner_ns.progress import progress_bar

    figures = {name: table.get("figures", {}) for name, table in finished.tables.items()}
    with progress_bar() as report:
        asked = page_options(options, report)
        signal = original_of_page(asked, finished.original, next(iter(finished.fields.values())).description.name)
        return write_page(output, finished.fields, figures, signal, asked)
