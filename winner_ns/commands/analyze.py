"""`winner-ns analyze`: what initialisation does to a field."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from winner_ns.commands.arguments import (
    LAW,
    NETWORK,
    READING,
    add_overwrite,
    add_plan,
    add_reading,
    count,
    given,
    plan_of,
    print_json,
    read_options_of,
    reading_flag_of,
)
from winner_ns.errors import SignalError, flag_of, settings_called
from winner_ns.progress import announce
from winner_ns.safe_text import file_name, tell

HELP = "show what initialisation does to a field: spectra of its layers, tangent kernel, gradients"
EXAMPLE = "winner-ns analyze --family siren --data song.flac"
_FIELD = (*NETWORK, *LAW, "seed")
_POINTS = 1024
_SEED = 42


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "finished", type=Path, nargs="?", metavar="RUN", help="a finished run, before and after training"
    )
    parser.add_argument(
        "--data", type=Path, help="without RUN: what a field would be trained on; with it: where that file is now"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="default: of a RUN analysis-<steps>-steps in its folder, else <name>-<family>-<flags>-analysis",
    )
    add_overwrite(parser)
    parser.add_argument("--points", type=count, default=_POINTS, help="of the tangent kernel, at most (default 1024)")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of the pictures (default png)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    field = parser.add_argument_group("a field that is yet to be trained, without RUN")
    field.add_argument("--kind", help="image, audio, shape, volume or video (default: told by the file)")
    add_plan(field)
    field.add_argument("--seed", type=int, help="of the random weights (default 42, as ns-train has it)")
    add_reading(parser)


def run(options: argparse.Namespace) -> None:
    announce("analysing", options.finished or options.data or "")

    with settings_called(lambda setting: reading_flag_of(options, setting)):
        _analyze(options, options.finished)


def _analyze(options: argparse.Namespace, finished: Any) -> None:
    from winner_ns.analysis import analyze, subject_before_training, subject_of_run
    from winner_ns.analysis.numbers import analysed_data, summary, write_numbers
    from winner_ns.analysis.pictures import picture_paths, write_pictures
    from winner_ns.progress import progress_bar
    from winner_ns.writing import check_place, replacing_files

    if finished:
        for name in given(options, (*_FIELD, "kind", *READING)):
            raise SignalError(flag_of(name), "is for a field that is yet to be trained", "leave it out, or RUN")
        subject = subject_of_run(finished, options.data)
    elif options.data is None:
        raise SignalError("analyze", "there is nothing to analyse", "give a finished run, or a file with --data")
    else:
        seed = _SEED if options.seed is None else options.seed
        plan, read = plan_of(options), read_options_of(options)
        subject = subject_before_training(options.data, plan, options.kind or "auto", read, seed)
    folder = options.output or _folder(options, finished, subject)
    before, data = analysed_data(folder / "numbers.npz"), subject.description.data
    if not (options.output or finished or options.overwrite) and before not in (None, data):
        raise SignalError(folder, f"holds the analysis of {before}", "name another folder with --output")
    # An analysis that has no other name is the same one as before.
    with replacing_files(options.overwrite or (options.output is None and before == data)):
        for path in (*picture_paths(folder, options.format), folder / "numbers.npz"):
            check_place(path)
        with progress_bar() as report:
            analysis = analyze(subject, options.points, report)
        paths = write_pictures(folder, analysis, options.format)
        paths.append(folder / "numbers.npz")
        write_numbers(paths[-1], analysis)
    result = summary(analysis)
    if options.json:
        print_json({**result, "files": [str(path) for path in paths]})
        return
    tell(*(f"verdict   {line}" for line in result["verdict"]), *(f"wrote     {path}" for path in paths))


def _folder(options: argparse.Namespace, finished: Any, subject: Any) -> Path:
    """Where an analysis goes by default: analyses of other fields, or with other flags, have other folders."""
    named = given(options, (*_FIELD[1:], "kind", *READING))
    if options.points != _POINTS:
        named["points"] = options.points
    flags = [
        name.replace("_", "-") + ("" if value is True else f"={str(value).removesuffix('.0')}")
        for name, value in named.items()
    ]
    if subject.folder is None:
        parts = [file_name(subject.target.signal.path.stem), subject.description.network.family, *flags, "analysis"]
        return Path("-".join(parts))
    of = finished.stem if subject.step is None else f"{subject.step + 1}-steps"
    return subject.folder / "-".join(["analysis", of, *flags])
