"""How fields are taken home from the viewer: written into the run's folder and handed to the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional, Tuple

import viser

from winner_ns.errors import SignalError
from winner_ns.export.field import export_field
from winner_ns.export.output import export_fitted, fitted_path
from winner_ns.fields.files import LoadedField
from winner_ns.safe_text import code, markdown

MOST_SENT = 2**26
"""Bytes up to which an exported file is also handed to the browser."""


class Exports:
    """Writes what a user asks for and says where it is.

    Args:
        chosen: the field as it is now, and the folder for its files.
        tell: shows Markdown to the user.
    """

    def __init__(self, chosen: Callable[[], Tuple[LoadedField, Path]], tell: Callable[[str], None]) -> None:
        self._chosen, self._tell = chosen, tell

    def signal(self, client: Optional[viser.ClientHandle]) -> None:
        """The fitted signal, as a file of its kind."""
        self._export(client, export_fitted)

    def field(self, client: Optional[viser.ClientHandle]) -> None:
        """The field itself."""
        self._export(client, _written_field)

    def _export(self, client: Optional[viser.ClientHandle], write: Callable[[LoadedField, Path], Path]) -> None:
        self._tell("exporting …")
        try:
            path = write(*self._chosen())
        except (SignalError, MemoryError) as error:
            self._tell(complaint(error))
            return
        self._tell(f"wrote {code(path)}")
        if client is not None and path.stat().st_size <= MOST_SENT:
            client.send_file_download(path.name, path.read_bytes())


def complaint(error: Exception) -> str:
    """An error as Markdown."""
    return f"**error** {markdown(error)}"


def _written_field(field: LoadedField, folder: Path) -> Path:
    path = fitted_path(field, ".safetensors", folder)
    export_field(field, path)
    return path
