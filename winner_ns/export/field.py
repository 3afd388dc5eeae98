"""Writing a run's field as one file that `winner_ns.load_field` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

from winner_ns.fields.files import LoadedField, save_field
from winner_ns.fields.quantised import quantisation_loss
from winner_ns.writing import check_output


def export_field(loaded: LoadedField, output: Path, bits: Optional[int] = None) -> Dict[str, Any]:
    """Writes a .safetensors field file (see `save_field`).

    Args:
        loaded: the field.
        output: the file.
        bits: 16 or 8, that weights are rounded to; None: as they are.

    Returns:
        path, kind, number of parameters and bytes; of rounded weights their bits, the largest_error_in_255ths of
        values by that, in steps of 1/255 of the range, and the psnr_against_whole_weights in dB.

    Raises:
        SignalError: another suffix, a field whose values are not finite, or the file cannot be written.
    """
    check_output(output, (".safetensors",), loaded.description.data)
    lost = {} if bits is None else quantisation_loss(loaded, bits).as_facts(bits)
    save_field(output, loaded.network, loaded.description, bits)
    parameters = sum(p.numel() for p in loaded.network.parameters())
    facts = {"path": str(output), "kind": loaded.kind, "parameters": parameters, "bytes": output.stat().st_size}
    return {**facts, **lost}
