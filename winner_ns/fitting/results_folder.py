"""The folder of what a finished run is worth: its table of figures is written last, and says that all is there."""

from __future__ import annotations

import json
from glob import escape
from pathlib import Path
from typing import Any, Dict, Sequence

from winner_ns.errors import SignalError
from winner_ns.fields.files import read_field_file
from winner_ns.writing import write_json

RESULTS = "results"
"""In a run's folder."""
FIGURES = "figures.json"
"""In there."""


def results_complete(run: Path, steps: int) -> bool:
    """Whether the results of a run's state after so many steps are all there, and its fields whole."""
    folder = run / RESULTS
    try:
        table = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        return table["steps"] == steps and all(_is_whole(folder / name) for name in table.get("files", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_whole(path: Path) -> bool:
    """Whether a file is there and, where it says what it should be, is that."""
    if path.suffix != ".safetensors":
        return path.is_file()
    try:
        read_field_file(path)
    except SignalError:
        return False
    return True


def begin_results(folder: Path) -> None:
    """Takes away the table of an earlier state, before its files are replaced one by one."""
    if (folder / FIGURES).is_file():
        (folder / FIGURES).unlink()


def end_results(folder: Path, table: Dict[str, Any], written: Sequence[Path]) -> Path:
    """Writes the table of figures, with the names of the other files, and removes what a killed program has left of
    these."""
    for path in written:
        for left in path.parent.glob(f".{escape(path.stem[:32])}.*{escape(path.suffix)}"):
            left.unlink(missing_ok=True)
    names = sorted(path.relative_to(folder).as_posix() for path in written)
    return write_json(folder / FIGURES, {**table, "files": names})
