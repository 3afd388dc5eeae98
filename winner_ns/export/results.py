"""What a finished training leaves: the field, what was fitted in its own format, a picture, a table of figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from winner_ns.errors import SignalError
from winner_ns.export.comparison import write_comparison
from winner_ns.export.field import export_field
from winner_ns.export.output import export_fitted
from winner_ns.fields.files import LoadedField
from winner_ns.figures.words import figures_in_rows
from winner_ns.signals import Signal

MOST_EXPORTED = 2**24
"""Samples up to which the fitted signal is written when training ends; of larger ones the field alone."""


def results_table(field: LoadedField, figures: Mapping[str, float], steps: int, seconds: float) -> Dict[str, Any]:
    """What a figures.json says of one field: plain JSON, figures that are not finite as None."""
    return {
        "figures": {name: value if math.isfinite(value) else None for name, value in figures.items()},
        "steps": steps,
        "training_seconds": round(seconds, 2),
        "parameters": sum(p.numel() for p in field.network.parameters()),
        "description": field.description.as_dict(),
    }


def closing_lines(steps: int, seconds: float, figures: Mapping[str, float], commands: Sequence[str]) -> List[str]:
    """The last that a training says: that it is over, what came of it, and what one would type next.

    Args:
        steps: of the run.
        seconds: that they took.
        figures: of the field, by name; none where they have been said.
        commands: to begin with.
    """
    rows = [f"  {row}" for row in figures_in_rows(figures)]
    return [f"Training finished: {steps} steps in {seconds:.0f} s", *rows, "next:", *(f"  {each}" for each in commands)]


def write_results(loaded: LoadedField, folder: Path, signal: Optional[Signal] = None) -> List[Path]:
    """Writes what a finished run is worth into a folder: field.safetensors, comparison.png (where the signal is at
    hand), and the fitted image, sound, mesh or array, named <name>-fitted (`export_fitted`).

    Raises:
        SignalError: a file cannot be written, or a shape's field has no surface; all others are written before.
    """
    written = write_all(loaded, Path(folder), signal)
    if written.problem is not None:
        raise written.problem
    return written.paths


class Written(NamedTuple):
    """What has been written of a finished run's results."""

    paths: List[Path]
    """The files."""
    note: str = ""
    """What a user should know; "" for nothing."""
    problem: Optional[SignalError] = None
    """Why a file could not be written; the others are."""


def write_fitted(field: LoadedField, folder: Path, signal: Signal, run: Path) -> Written:
    """`write_results`, but of a signal that is too large to wait for the field alone.

    Args:
        field: what was fitted.
        folder: where to.
        signal: what it was fitted to.
        run: what the rest can be exported from.
    """
    shape = field.signal.get("shape", ())
    if math.prod(shape) <= MOST_EXPORTED:
        return write_all(field, folder, signal)
    command = f"winner-ns export {field.description.row.export_command} {run}"
    note = f"{math.prod(shape)} samples take a while: {command}"
    return _write_each([lambda: _field_file(field, folder)])._replace(note=note)


def write_all(loaded: LoadedField, folder: Path, signal: Optional[Signal]) -> Written:
    """`write_results`, but a problem is given and not raised."""
    writes: List[Callable[[], Path]] = [
        lambda: _field_file(loaded, folder),
        lambda: export_fitted(loaded, folder),
    ]
    if signal is not None:
        picture = folder / "comparison.png"
        writes.append(lambda: write_comparison(picture, loaded, signal) or picture)
    return _write_each(writes)


def _field_file(loaded: LoadedField, folder: Path) -> Path:
    export_field(loaded, folder / "field.safetensors")
    return folder / "field.safetensors"


def _write_each(writes: List[Callable[[], Path]]) -> Written:
    """What can be written, and the first problem."""
    paths: List[Path] = []
    problem: Optional[SignalError] = None
    for write in writes:
        try:
            paths.append(write())
        except SignalError as error:
            problem = problem or error
    return Written(paths, problem=problem)
