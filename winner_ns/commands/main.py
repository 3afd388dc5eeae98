"""`winner-ns`: fit signals, inspect them, analyse fields, export and compare finished runs."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from contextlib import suppress
from typing import Optional, Sequence

from winner_ns import __version__
from winner_ns.commands import analyze, bench, compare, eval_mesh, eval_run, export, fit, fit_many, inspect, view
from winner_ns.errors import SignalError
from winner_ns.interruption import INTERRUPTION, Ended
from winner_ns.progress import silence_libraries
from winner_ns.safe_text import tell
from winner_ns.writing import replacing_files

COMMANDS = {
    "fit": fit,
    "fit-many": fit_many,
    "inspect": inspect,
    "view": view,
    "eval": eval_run,
    "export": export,
    "compare": compare,
    "analyze": analyze,
    "eval-mesh": eval_mesh,
    "bench": bench,
}
"""Modules with HELP and EXAMPLE (one line each), `add_arguments(parser)` and `run(options)`, which may return an exit
status."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs `winner-ns`; returns the exit status: 0, 1 for bad input, 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP
    (argparse exits with 2)."""
    with warnings.catch_warnings(), INTERRUPTION:
        options = parser().parse_args(arguments)
        silence_libraries()
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    status: Optional[int] = 0
    try:
        with replacing_files(getattr(options, "overwrite", False)):
            status = options.run(options)
        sys.stdout.flush()
    except SignalError as error:
        return _fail(str(error))
    except MemoryError as error:
        return _fail(f"not enough memory ({error}); ask for a smaller size or resolution")
    except Ended as end:
        return end.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(_told(error))
    return status or 0


def _told(error: OSError) -> str:
    """What the system refused, and of which file."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}; see to that, or name another file"
    with suppress(OSError):
        sys.stdout.flush()
        return str(error)
    # What is left in the buffer would be tried again at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"standard output: cannot be written ({error.strerror or error}); free some space there"


def _fail(line: str) -> int:
    tell(f"winner-ns: error: {line}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="winner-ns",
        description="Fit any signal - an image, a sound, a shape, a volume, a film - with a small sine network.",
        epilog="winner-ns fit photo.jpg is where to begin.",
    )
    parser.add_argument("--version", action="version", version=f"winner-ns {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        of_command = commands.add_parser(
            name, help=command.HELP, description=command.HELP, epilog=f"example: {command.EXAMPLE}"
        )
        command.add_arguments(of_command)
        of_command.set_defaults(run=of_command.get_default("run") or command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
