"""What an export may be asked for, what it is called, and what is written where nothing is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField
from winner_ns.safe_text import file_name


def require_export(loaded: LoadedField, command: str) -> None:
    """Raises SignalError where a run fitted something that another `winner-ns export` command writes, naming that."""
    row = loaded.description.row
    if row.export_command != command:
        advice = f"use `winner-ns export {row.export_command}`"
        raise SignalError(loaded.description.name, f"this run fitted {row.words}", advice)


def fitted_path(loaded: LoadedField, suffix: str, folder: Union[str, os.PathLike] = "") -> Path:
    """The name that an export has by default, <name of the original>-fitted<suffix>."""
    return Path(folder) / f"{file_name(Path(loaded.description.name).stem)}-fitted{suffix}"


def export_fitted(
    loaded: LoadedField,
    folder: Union[str, os.PathLike],
) -> Path:
    """Writes what a field was fitted to, named <name>-fitted, in its kind's own format: an image (PNG; floats: TIFF), a
    sound (WAV), a shape's mesh (PLY), an array (.npy).

    Args:
        loaded: the field.
        folder: where to; made if it is not there.

    Raises:
        SignalError: the file cannot be written, or a shape's field has no surface.
    """
    return loaded.description.row.get("writer")(loaded, Path(folder))
