"""`winner-ns bench`: all fields of a preset on all its signals, and a report."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any, Sequence

from winner_ns.commands.arguments import add_engine, count
from winner_ns.errors import SignalError, flag_of, settings_called
from winner_ns.progress import announce
from winner_ns.safe_text import tell

HELP = "train all fields of a preset on all its signals, and write a report"
EXAMPLE = "winner-ns bench images --out bench"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="a name that --list shows, or a YAML file")
    parser.add_argument("--list", action="store_true", help="show the presets, and the inputs that they may name")
    parser.add_argument("--data", type=Path, metavar="DIR", help="fit the files in this folder instead")
    parser.add_argument(
        "--allow",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a file or folder beside the preset's own that its signals may name; may be given several times",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default bench-results/PRESET-BUDGET; is gone on with")
    parser.add_argument("--budget", choices=("short", "paper"), default="short", help="default short: minutes")
    parser.add_argument("--workers", type=count, default=0, help="cells at a time (default: GPUs, else cores)")
    add_engine(parser)


def run(options: argparse.Namespace) -> None:
    announce("reading the presets")
    from winner_ns.bench.preset import list_presets, load_preset
    from winner_ns.bench.summary_tables import (
        better_without_fields,
        inputs_table,
        presets_table,
        terminal_tables,
    )

    if options.list:
        _print_tables([presets_table(list_presets()), inputs_table()])
        return
    if options.preset is None:
        raise SignalError("bench", "no preset is given", "name one, see winner-ns bench --list")
    from winner_ns.bench.benchmark import CellsFailed, run_bench

    preset = load_preset(options.preset, options.budget)
    parts = [preset.name, options.budget, *([] if options.data is None else [options.data.resolve().name])]
    folder = options.out or Path("bench-results") / "-".join(parts)
    flags = {"--data": options.data, "--out": options.out, "--workers": options.workers}
    flags |= {} if options.on == "local" else {"--on": options.on}
    given = [str(part) for flag, value in flags.items() if value for part in (flag, value)]
    given += [part for path in options.allow for part in ("--allow", str(path))]
    command = shlex.join(["winner-ns", "bench", options.preset, "--budget", options.budget, *given])
    try:
        more = {"budget": options.budget, "allowed": options.allow, "on": options.on}
        with settings_called(flag_of):
            records = run_bench(preset, folder, command, options.data, options.workers, **more)
    except CellsFailed as error:
        _print_tables(terminal_tables(preset, error.records))
        raise
    _print_tables(terminal_tables(preset, records))
    for line in better_without_fields(preset, records):
        tell(line)
    tell(f"wrote {folder / 'report.html'}, results.csv, results.md and results.jsonl beside it")


def _print_tables(tables: Sequence[Any]) -> None:
    from rich.console import Console

    for table in tables:
        Console().print(table)
