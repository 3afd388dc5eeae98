"""Arguments that several commands share, and the types that argparse checks them by."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any, Dict, Sequence

from winner_ns.errors import flag_of

READING = ("start", "duration", "duration_samples", "sample_rate", "mono", "decoded_limit")
NETWORK = ("family", "width", "depth", "omega_0", "first_omega_0")
LAW = ("law", "purpose", "s0", "s1")


def add_reading(parser: argparse.ArgumentParser, start: bool = True) -> None:
    """Which part of a sound is read, and how; and how much any file may take unpacked.

    Args:
        start: whether some of it can be skipped by --start, which may have another meaning.
    """
    sound = parser.add_argument_group("sounds")
    if start:
        sound.add_argument("--start", type=float, help="seconds to skip")
    sound.add_argument("--duration", type=float, help="seconds to read")
    sound.add_argument("--duration-samples", type=int, help="samples to read, instead of --duration")
    sound.add_argument("--sample-rate", type=int, help="hertz to resample to")
    sound.add_argument("--mono", action="store_true", default=None, help="average the channels")
    _add_decoded_limit(parser)


def _add_decoded_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decoded-limit",
        type=float,
        metavar="GIB",
        help="what a compressed file may take when it is unpacked (default 2; 0: no limit)",
    )


def add_original(parser: argparse.ArgumentParser) -> None:
    """Where what a run was fitted to is."""
    parser.add_argument(
        "--data", type=Path, help="what the run was fitted to (default: the file that it names, where that is here)"
    )
    _add_decoded_limit(parser)


def add_viewer(parser: argparse.ArgumentParser) -> None:
    """Where the viewer is to be seen."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address that the viewer listens on (default 127.0.0.1: this machine alone; 0.0.0.0: all)",
    )
    parser.add_argument("--port", type=count, help="port of the viewer (default 7007 or the next that is free)")


def add_plan(parser: Any, family: bool = True) -> None:
    """What a field is made of (`FieldPlan`); what is left out follows from the signal."""
    if family:
        parser.add_argument("--family", help="winner (default), siren, finer, wire, gauss, relu-pe, rff, hash-grid, …")
    parser.add_argument("--width", type=count, help="neurons of every hidden layer (default: the kind's, 256)")
    parser.add_argument("--depth", type=count, help="number of hidden layers (default: the kind's, 4)")
    parser.add_argument("--omega-0", type=positive, help="frequency factor (default: the family's, 30 for sines)")
    parser.add_argument("--first-omega-0", type=positive, help="of the first layer (default: omega-0)")
    parser.add_argument(
        "--law",
        help="of the initial noise: matching (default), paper, reference-code, explicit; or others' initialisations: "
        "fresh, gradient-control, vi3nr, weight-scaling",
    )
    parser.add_argument(
        "--purpose",
        help="of the law matching: interpolate, fit, denoise, or kappa (default 0.5, sounds fit, scenes 0.3); of vi3nr "
        "sigma_p, of weight-scaling alpha",
    )
    parser.add_argument("--s0", type=float, help="noise scale of layer 1, means the law explicit")
    parser.add_argument("--s1", type=float, help="noise scale of layer 2, means the law explicit")


def add_overwrite(parser: Any) -> None:
    """That files may be replaced which the command has not written (`winner_ns.writing.replacing_files`)."""
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")


def add_engine(parser: Any) -> None:
    """Where processes work (`winner_ns.engines`)."""
    parser.add_argument(
        "--on",
        default="local",
        metavar="WHERE",
        help="this machine (local, the default), the running cluster that Ray finds (ray), or one at ray://HOST:PORT",
    )


def plan_of(options: argparse.Namespace) -> Any:
    """The FieldPlan that the arguments of `add_plan` stand for."""
    from winner_ns.fitting.plan import FieldPlan

    return FieldPlan.of(**given(options, (*NETWORK, *LAW)))


def read_options_of(options: argparse.Namespace) -> Any:
    """The ReadOptions that the arguments of `add_reading` stand for."""
    from winner_ns.signals import ReadOptions

    return ReadOptions(**given(options, READING))


def reading_flag_of(options: argparse.Namespace, setting: str) -> str:
    """The flag that a user gave for a setting: of "read", the first one."""
    if setting == "read":
        setting = next(iter(given(options, READING)), setting)
    return flag_of(setting)


def given(options: argparse.Namespace, names: Sequence[str]) -> Dict[str, Any]:
    """Those of these arguments that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}


def setting_of_text(text: str) -> "tuple[str, Any]":
    """KEY=VALUE, the value a number, true, false or text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE")
    try:
        return key, json.loads(value, parse_constant=lambda name: name)
    except ValueError:
        return key, value


def count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def facts_in_a_line(result: Dict[str, Any]) -> str:
    """What is said of a written file, but its name, kind and warnings."""
    told = {name.replace("_", " "): value for name, value in result.items() if name not in ("path", "kind", "warnings")}
    return ", ".join(f"{name} {value}" for name, value in told.items())


def print_json(result: Dict[str, Any]) -> None:
    """Prints one JSON object."""
    print(json.dumps(result, allow_nan=False))
