"""The job of a store (`winner_ns.engines`): fits what the store still lacks, item by item, until nothing is left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np

from winner_ns.engines.leases import WORK, Leases
from winner_ns.engines.worker import noted_error
from winner_ns.errors import SignalError
from winner_ns.many.items import Item, read_items
from winner_ns.many.store import ITEMS, Line, land, landed_path, read_index, read_mark

WEIGHTS = "start.safetensors"
"""In a store: what all its fields begin with, where they do."""


def done_mark(folder: Path, index: int) -> Path:
    """What says that an item needs no work any more, wherever it is."""
    return folder / WORK / f"{piece_of(index)}.done"


def piece_of(index: int) -> str:
    """What an item is called among the leases."""
    return f"{index:08d}"


def work(folder: Path, device: str, worker: str = "") -> bool:
    """Fits what nobody has fitted or is fitting.

    Args:
        folder: the store's.
        device: where it trains.
        worker: the name that its leases have.

    Returns:
        Whether another process should go on with it: after an error on a GPU, one may be able to do nothing more, or
        hold on to its memory.

    Raises:
        SignalError: the store cannot be read or written.
    """
    mark = read_mark(folder)
    assert mark is not None
    start = _start(folder, mark)
    leases, arrays = Leases(folder / WORK, worker), {}
    known = {line["index"] for line in read_index(folder)}

    def is_done(index: int) -> bool:
        return index in known or done_mark(folder, index).exists() or landed_path(folder, index).exists()

    for item in read_items(folder / ITEMS):
        if is_done(item.index):
            continue
        with leases.taken(piece_of(item.index)) as mine:
            # Between the look and the lease another process may have come to its end.
            if not mine or is_done(item.index):
                continue
            line, weights = fitted(folder, item, mark["choices"], device, start, arrays)
            land(folder, item.index, line, weights)
            done_mark(folder, item.index).touch()
            if "error" in line and device != "cpu":
                return True
    return False


def fitted(
    folder: Path,
    item: Item,
    choices: Dict[str, Any],
    device: str,
    start: Optional[Dict[str, Any]],
    arrays: Dict[str, np.ndarray],
) -> "tuple[Line, Dict[str, Any]]":
    """An item's line and weights; the same ones whoever fits it, and whenever."""
    from dataclasses import replace

    from winner_ns.fitting.fit import fit

    line: Line = {"index": item.index, "name": item.name, "label": item.label}
    begun = time.monotonic()
    try:
        seed = (choices.get("seed", 42) + item.index) % 2**32
        data = item.data(arrays)
        field = fit(data, **{**choices, "seed": seed}, device=device, start=start, progress=False)
        if field.steps < (choices.get("steps") or field.description.row.training.steps):
            raise KeyboardInterrupt  # Somebody has ended it, which a fit takes for the wish to have what there is.
        figures = {name: float(value) for name, value in field.figures.items()}
        description = replace(field.description, name=Path(item.name).name)
        line |= {
            "figures": {name: value if np.isfinite(value) else None for name, value in figures.items()},
            "steps": field.steps,
            "training_seconds": round(field.training_seconds, 4),
            "seconds": round(time.monotonic() - begun, 4),
            "description": description.as_dict(),
        }
        return line, field.network.state_dict()
    except Exception as error:  # Any type: one signal that fails is no reason to lose the others.
        said = noted_error(folder, item.name, error)
        return {**line, "error": said[:500], "seconds": round(time.monotonic() - begun, 4)}, {}


def _start(folder: Path, mark: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """What all fields begin with; None where each has fresh weights of its own."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if mark.get("start") is None:
        return None
    path = folder / WEIGHTS
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SignalError(path, f"cannot be read ({error})", "get a whole copy of the store") from error
