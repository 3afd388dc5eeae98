"""`winner-ns inspect`: a signal's spectrum, and what a law makes of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from winner_ns.commands.arguments import (
    READING,
    add_overwrite,
    add_plan,
    add_reading,
    given,
    plan_of,
    print_json,
    read_options_of,
    reading_flag_of,
)
from winner_ns.errors import SignalError, flag_of, settings_called
from winner_ns.progress import announce
from winner_ns.safe_text import tell

HELP = "show a signal's spectrum and what a law makes of it"
EXAMPLE = "winner-ns inspect song.flac --plot spectrum.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="image, sound, mesh, points, volume, video or a folder of photographs")
    parser.add_argument(
        "--kind", default="auto", help="image, audio, shape, volume, video or views (default: told by the file)"
    )
    add_plan(parser, family=False)
    add_reading(parser)
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the spectrum and the bands")
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    announce("measuring", options.file)
    with settings_called(lambda setting: reading_flag_of(options, setting)):
        _run(options)


def _run(options: argparse.Namespace) -> None:
    from winner_ns.kinds import KINDS
    from winner_ns.scenes.folder import is_scene
    from winner_ns.signals import signal_of
    from winner_ns.spectrum.inspection import inspect_signal
    from winner_ns.writing import check_output

    kind = options.kind
    if (kind in KINDS and KINDS[kind].reader is None) or (kind == "auto" and is_scene(options.file)):
        _inspect_views(options)
        return
    if options.plot:
        from winner_ns.export.spectrum_plot import SUFFIXES, write_spectrum_plot

        check_output(options.plot, SUFFIXES)
    signal = signal_of(options.file, kind, read_options_of(options))
    defaults = KINDS[signal.kind].training
    inspection = inspect_signal(
        signal,
        width=options.width or defaults.width,
        depth=options.depth or defaults.depth,
        omega_0=options.omega_0 or 30.0,
        first_omega_0=options.first_omega_0,
        law=options.law or ("matching" if options.s0 is None and options.s1 is None else "explicit"),
        purpose=options.purpose,
        s0=options.s0,
        s1=options.s1,
    )
    if options.plot:
        write_spectrum_plot(options.plot, inspection)
    if options.json:
        plot = {"plot": str(options.plot)} if options.plot else {}
        print_json({**inspection.as_dict(), **plot})
    else:
        tell(*inspection.lines(), *([f"plot      {options.plot}"] if options.plot else []))


def _inspect_views(options: argparse.Namespace) -> None:
    for name in ("plot", *given(options, READING)):
        if getattr(options, name) is not None:
            raise SignalError(flag_of(name), "is not for posed photographs", "leave it out")
    from winner_ns.registry import resolve

    lines, facts = resolve("winner_ns.plugin.photographs:inspect_views")(options.file, plan_of(options))
    if options.json:
        print_json(facts)
    else:
        tell(*lines)
