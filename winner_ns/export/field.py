"""Writing a run's field as one file that `winner_ns.load_field` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from winner_ns.fields.files import LoadedField, save_field
from winner_ns.writing import check_output


def export_field(loaded: LoadedField, output: Path) -> Dict[str, Any]:
    """Writes a .safetensors field file (see `save_field`).

    Returns:
        path and number of parameters.

    Raises:
        SignalError: another suffix, or the file cannot be written.
    """
    check_output(output, (".safetensors",), loaded.description.data)
    save_field(output, loaded.network, loaded.description)
    parameters = sum(p.numel() for p in loaded.network.parameters())
    return {"path": str(output), "kind": loaded.kind, "parameters": parameters}
