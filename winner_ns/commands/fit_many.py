"""`winner-ns fit-many`: fits a field to each of many signals, into a store."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from winner_ns.commands.arguments import add_engine, add_reading, count
from winner_ns.commands.fit import add_choices, choices_of, flag_of_choice
from winner_ns.errors import SignalError, counted, settings_called
from winner_ns.interruption import Ended
from winner_ns.progress import announce, duration
from winner_ns.safe_text import tell

if TYPE_CHECKING:
    from winner_ns.many.fit_many import Progress

HELP = "fit a field to each of many signals: winner-ns fit-many photographs --out store"
EXAMPLE = "winner-ns fit-many photographs --out store --width 64 --steps 300"
OFTEN, SELDOM = 0.5, 10.0
"""Seconds between two lines about the progress on a terminal, where each replaces the one before, and elsewhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", help="a folder, a pattern, a list of files, or an array with a signal in each row"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="the store; one that is there is gone on with"
    )
    add_choices(parser)
    parser.add_argument(
        "--start",
        dest="begin_with",
        metavar="S",
        help="what all fields begin with: shared (the same fresh weights), a run, a field file, or a store (its mean)",
    )
    parser.add_argument("--workers", type=count, metavar="N", help="processes (default: one a core, or a GPU)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, … (default: the GPUs if there are any, else the CPU)")
    add_engine(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but where the fields are")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, and nothing else")
    add_reading(parser, start=False)


def run(options: argparse.Namespace) -> int:
    quiet = options.quiet or options.json
    if not quiet:
        announce("listing", options.source)
    from winner_ns.many.fit_many import fit_many
    from winner_ns.many.summary import PAGE, summary_of

    shown = _Line()

    def say(line: str) -> None:
        if not quiet:
            tell(line)

    try:
        with settings_called(lambda setting: flag_of_choice(options, setting)):
            fields = fit_many(
                options.source,
                options.out,
                start=options.begin_with,
                workers=options.workers,
                device=options.device,
                on=options.on,
                tell=None if quiet else shown.see,
                say=say,
                **choices_of(options),
            )
    except (Ended, KeyboardInterrupt):
        shown.clear()
        print("interrupted; what is fitted is kept, and the same command goes on", file=sys.stderr)
        raise
    shown.clear()
    summary = summary_of(options.out)
    if options.json:
        print(json.dumps(summary))
    else:
        for name, values in summary["figures"].items():
            spread = f"10 % below {values['percentile_10']:.4g}, the least {values['least']:.4g}"
            say(f"{'PSNR, dB' if name == 'psnr' else name}: median {values['median']:.4g}, {spread}")
        for error in list(summary["errors"].values())[:10]:
            say(f"FAILED    {error}")
        tell(f"wrote     {options.out}: {counted(len(fields), 'field')}, {options.out / PAGE}")
    if not len(fields):
        raise SignalError(options.source, f"none of its {summary['of']} signals could be fitted", "see the lines above")
    return 1 if summary["failed"] else 0


class _Line:
    """The progress, in one line that changes on a terminal, else in a line every now and then."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.said: Optional[float] = None
        self.begun = time.monotonic()

    def see(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now - (self.begun if self.said is None else self.said) < (OFTEN if self.live else SELDOM):
            return
        self.said = now
        left = progress.seconds_left
        pace = progress.new / max(progress.seconds, 1e-9)
        parts = [f"{progress.done:,} of {progress.total:,}", f"{pace:.2g} a second"]
        if left is not None:
            parts.append(f"{duration(left)} left")
        if progress.failed:
            parts.append(f"{progress.failed} failed")
        line = "  ".join(parts)
        print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", flush=True)

    def clear(self) -> None:
        if self.live and self.said is not None:
            print("\r\033[K", end="", flush=True)
