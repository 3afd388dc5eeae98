"""`winner-ns fit`: fits a field to a signal and writes a run with its results."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional

from winner_ns.commands.arguments import (
    READING,
    add_overwrite,
    add_reading,
    count,
    given,
    read_options_of,
    reading_flag_of,
    setting_of_text,
)
from winner_ns.errors import SignalError, settings_called
from winner_ns.interruption import INTERRUPTION, Ended
from winner_ns.progress import announce
from winner_ns.safe_text import file_name, tell
from winner_ns.writing import make_folder, replacing_files, unwritable

if TYPE_CHECKING:
    from torch import Tensor

    from winner_ns.fitting.fit import FittedField
    from winner_ns.fitting.processes import Notes, ProcessLost
    from winner_ns.fitting.training import Training

HELP = "fit a field to a signal: winner-ns fit photo.jpg"
EXAMPLE = "winner-ns fit photo.jpg"
CHOICES = (
    "kind", "family", "purpose", "law", "steps", "width", "depth", "beta2", "seed", "holdout", "between", "denoiser",
)  # fmt: skip
"""Arguments of `winner_ns.fit` that have a flag …"""
SETTINGS = (
    "omega_0", "first_omega_0", "s0", "s1", "learning_rate", "weight_decay", "batch_size", "schedule", "shape_loss",
)  # fmt: skip
"""… and those that --set gives."""
_RESUMED = ("resume", "thing", "overwrite", "steps", "device", "quiet", "run")
_FOLDER, _SPOKEN = "folder of the run", "the first process has spoken"
"""What processes of torchrun set down for each other."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "winner-ns fit (THING [-o DIR] | --resume RUN [THING]) [options]"
    parser.add_argument(
        "thing", nargs="?", metavar="THING", help="an image, a sound, a mesh, points, a volume, a video"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="default outputs/NAME/winner-siren/TIME")
    add_overwrite(parser)
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with a run, to its end or to --steps; THING: where its file is now",
    )
    add_choices(parser)
    parser.add_argument("--device", metavar="D", help="cpu, cuda, … (default: CUDA if present, else MPS, else CPU)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but where the results are")
    add_reading(parser)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """What `winner_ns.fit` can be told of a field and of what it is fitted by."""
    parser.add_argument("--kind", metavar="K", help="image, audio, shape, volume or video (default: told by the file)")
    parser.add_argument(
        "--family", metavar="F", help="winner (default), siren, finer, wire, gauss, relu-pe, rff, hash-grid, …"
    )
    parser.add_argument("--purpose", metavar="P", help="interpolate, fit, denoise, or kappa (default 0.5, sounds fit)")
    parser.add_argument(
        "--law",
        metavar="L",
        help="of the initial noise: matching (default), paper, reference-code, explicit; or others' initialisations: "
        "fresh, gradient-control, vi3nr, weight-scaling",
    )
    parser.add_argument("--steps", type=count, metavar="N", help="training steps (default: the kind's)")
    parser.add_argument("--width", type=count, metavar="N", help="neurons of every hidden layer (default 256)")
    parser.add_argument("--depth", type=count, metavar="N", help="number of hidden layers (default 4)")
    parser.add_argument("--beta2", type=float, metavar="B", help="Adam's, from 0 to below 1 (default: the kind's)")
    parser.add_argument("--seed", type=int, metavar="N", help="of weights, order and split (default 42)")
    parser.add_argument(
        "--holdout", metavar="H", help="withhold a fraction of the samples, or every-second, and judge by them"
    )
    parser.add_argument(
        "--between",
        metavar="B",
        help="train on estimates between the samples, too: kriging or none (default: by the purpose)",
    )
    parser.add_argument(
        "--denoiser",
        metavar="D",
        help="train on a classical denoiser's output: nl-means (of images), tv, wavelets, wiener, or none",
    )
    parser.add_argument(
        "--set",
        type=setting_of_text,
        action="append",
        metavar="KEY=VALUE",
        dest="settings",
        help="batch_size, learning_rate, weight_decay, schedule, omega_0, first_omega_0, s0, s1, shape_loss, or one "
        "of the family",
    )


def choices_of(options: argparse.Namespace) -> Dict[str, Any]:
    """The arguments of `winner_ns.fit` that those of `add_choices` and `add_reading` stand for, as far as given."""
    further = dict(options.settings or ())
    choices = {name: further.pop(name) for name in SETTINGS if name in further}
    choices |= given(options, CHOICES)
    if given(options, READING):
        choices["read"] = read_options_of(options)
    return {**choices, **({"settings": further} if further else {})}


def run(options: argparse.Namespace) -> None:
    # All that is written is in the run's own folder.
    with settings_called(lambda setting: flag_of_choice(options, setting)), replacing_files(True):
        _run(options)


def _run(options: argparse.Namespace) -> None:
    if options.thing is None and options.resume is None:
        raise SignalError("winner-ns fit", "wants one thing to fit", "give a file, or a run to go on with by --resume")
    if not options.quiet and os.environ.get("RANK", "0") == "0":
        announce("reading", options.thing if options.resume is None else options.resume)
    from winner_ns.fitting.fit import fit_settled
    from winner_ns.fitting.processes import Notes, ProcessLost, join
    from winner_ns.fitting.run_folder import RunFolder
    from winner_ns.fitting.training import LossCurve

    processes, notes = join(), Notes()
    try:
        with processes.together():
            begun = notes.read(_FOLDER)
            settled, steps, schedule, state, losses, folder = _settle(options, begun and Path(begun))
            folder = folder or (processes.is_first and _new_folder(options, settled.target.signal.path)) or None
    except SignalError:
        if not processes.is_first:
            sys.exit(1)  # The first one says it.
        raise
    if not processes.is_first:
        _help_to_fit(notes, *(settled, steps, schedule, options.device), state=state, processes=processes)
        return
    assert folder is not None
    notes.write(_FOLDER, str(folder.resolve()))
    if not options.quiet:
        tell(*settled.lines(), *(f"note      {line}" for line in settled.target.warnings))
        where = f"{settled.description.order.batch_size or 'all'} samples, Adam at {settled.learning_rate:g}"
        print(f"training  {steps} steps of {where}", flush=True)
    curve = LossCurve(steps, known=losses)
    kept = RunFolder(folder, settled, steps, schedule, curve)

    def after_step(training: Training, loss: Tensor, field: FittedField) -> bool:
        curve.see(training.step, loss)
        kept.keep(training)
        return False

    kept.write_config()
    trained = False
    try:
        how = (schedule, options.device, not options.quiet, after_step, state, INTERRUPTION.noted())
        field, training = fit_settled(settled, steps, *how, processes=processes)
        with INTERRUPTION.held():
            kept.save()
            trained = training.step == steps
        _write_results(field, folder, curve.as_dict(field.description.target.get("gain")), options.quiet)
    except (Ended, KeyboardInterrupt):
        INTERRUPTION.acknowledge()
        kept.save()
        _say_how_to_go_on(folder, trained)
        raise
    except ProcessLost as lost:
        INTERRUPTION.end_undisturbed()  # torchrun tells those that are left to end.
        kept.save()
        raise _lost(lost, folder) from lost
    finally:
        notes.write(_SPOKEN, "yes", of_all=False)


def _help_to_fit(notes: Notes, *settled: Any, **further: Any) -> None:
    """Evaluates this process's part of all steps; the first one, which writes and speaks, decides when they end."""
    from winner_ns.fitting.fit import fit_settled
    from winner_ns.fitting.processes import ProcessLost

    try:
        fit_settled(*settled, progress=False, ending=INTERRUPTION.noted(), **further)
    except ProcessLost as lost:
        INTERRUPTION.end_undisturbed()  # torchrun tells those that are left to end.
        # Where it was the first one that was lost, another has to say so.
        folder = notes.read(_FOLDER)
        if further["processes"].rank > 1 or folder is None or notes.read(_SPOKEN, of_all=False, seconds=5.0):
            sys.exit(1)
        raise _lost(lost, Path(folder)) from lost
    except SignalError:
        sys.exit(1)


def _lost(lost: ProcessLost, folder: Path) -> ProcessLost:
    from winner_ns.fitting.checkpoints import last_checkpoint
    from winner_ns.fitting.processes import ProcessLost

    command = f"go on with: winner-ns fit --resume {shlex.quote(str(folder))}"
    return ProcessLost(lost.size, command if last_checkpoint(folder) else "it has no checkpoint yet: start it again")


def _say_how_to_go_on(folder: Path, trained: bool) -> None:
    """What a user who has ended a run is told."""
    from winner_ns.fitting.checkpoints import last_checkpoint, step_of
    from winner_ns.fitting.run_folder import CONFIG

    last = last_checkpoint(folder)
    command = f"winner-ns fit --resume {shlex.quote(str(folder))}"
    if last is None:
        (folder / CONFIG).unlink(missing_ok=True)
        with suppress(OSError):  # Something else is in it.
            folder.rmdir()
        print("interrupted before the first step; nothing is kept", file=sys.stderr)
    elif trained:
        print(f"interrupted before all results were written; write them with: {command}", file=sys.stderr)
    else:
        print(f"interrupted after step {step_of(last) + 1}; go on with: {command}", file=sys.stderr)


def _settle(options: argparse.Namespace, begun: Optional[Path]) -> "tuple[Any, int, str, Any, Dict[int, float], Any]":
    """What is fitted, how long, and by which schedule; of a run to go on with its state, its losses and its folder.

    Args:
        options: what was asked for.
        begun: folder of the run in which processes of torchrun were, in whose place these have been started.
    """
    from winner_ns.fitting.checkpoints import last_checkpoint
    from winner_ns.fitting.run_folder import open_run

    run = options.resume
    if run is None and begun is not None and last_checkpoint(begun) is not None:
        run = begun
    elif run is not None:
        others = [name for name, value in vars(options).items() if value is not None and name not in _RESUMED]
        if others:
            raise SignalError(f"--{others[0].replace('_', '-')}", "is the run's own", "leave it out with --resume")
    if run is not None:
        unfinished = open_run(run, options.steps, None if options.thing is None else Path(options.thing))
        chosen = unfinished.settled, unfinished.steps, unfinished.schedule
        return *chosen, unfinished.state, unfinished.losses, unfinished.folder
    return *_settle_new(options), None, {}, begun


def _settle_new(options: argparse.Namespace) -> "tuple[Any, int, str]":
    from winner_ns.fitting.fit import plan_and_options, settle_fit

    choices = choices_of(options)
    read, kind, steps = choices.pop("read", None), choices.pop("kind", None), choices.pop("steps", None)
    batch_size, schedule = choices.pop("batch_size", None), str(choices.pop("schedule", "cosine"))
    plan, target_options = plan_and_options(**choices)
    settled = settle_fit(options.thing, plan, target_options, kind, read, batch_size, steps, schedule, options.device)
    return settled, options.steps or settled.target.row.training.steps, schedule


def _new_folder(options: argparse.Namespace, signal: Path) -> Path:
    """The run's folder, which nothing else has; one that is not empty only to overwrite what is in it."""
    from winner_ns.fitting.run_folder import forget_run, unbegun

    output, overwrite = options.output, options.overwrite
    if output is not None:
        if output.exists() and (not output.is_dir() or (not overwrite and not unbegun(output))):
            advice = "name a folder that is empty or not there yet"
            raise SignalError(output, "is there already", advice + (", or give --overwrite" if output.is_dir() else ""))
        forget_run(make_folder(output))
        return output
    base = Path("outputs") / file_name(signal.stem) / "winner-siren"
    begun, number = time.strftime("%Y-%m-%d_%H%M%S"), 1
    folder = base / begun
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError as error:
            if not base.is_dir():
                raise unwritable(folder, error) from error
            number += 1
            folder = base / f"{begun}-{number}"
        except OSError as error:
            raise unwritable(folder, error) from error


def _write_results(field: FittedField, folder: Path, curve: Dict[str, Any], quiet: bool) -> None:
    from winner_ns.export.results import closing_lines, results_table, write_fitted
    from winner_ns.fitting.results_folder import RESULTS, begin_results, end_results

    figures, results = field.figures, folder / RESULTS
    if not quiet:
        for line in field.target.advice(field):
            tell(f"NOTE      {line}")
    begin_results(results)
    written = write_fitted(field, results, field.original, folder)
    tell(*(f"wrote     {path}" for path in written.paths), *([f"note      {written.note}"] if written.note else []))
    table = {**results_table(field, figures, field.steps, field.training_seconds), "curve": curve}
    tell(f"wrote     {end_results(results, table, written.paths)}")
    if not quiet:
        commands = field.description.row.commands_for(folder)
        tell(*closing_lines(field.steps, field.training_seconds, figures, commands))
    if written.problem is not None:
        raise written.problem


def flag_of_choice(options: argparse.Namespace, setting: str) -> str:
    """What a user wrote, or could have, for a setting."""
    if setting in dict(options.settings or ()) or setting in ("field", "settings"):
        return "--set" if setting in ("field", "settings") else f"--set {setting}"
    return reading_flag_of(options, setting)
