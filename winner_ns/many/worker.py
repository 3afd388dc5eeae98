"""A process that fits what a store still lacks, item by item, until nothing is left:

    python -m winner_ns.many.worker STORE DEVICE

It ends at once where the program that started it does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.many.items import Item, read_items
from winner_ns.many.leases import Leases
from winner_ns.many.store import ITEMS, Line, land, landed_path, read_index, read_mark

WORK = "work"
"""In a store that is filled: leases, and a mark for each item that is done."""
ERRORS = "errors.log"
"""In a store: what went wrong, in full."""
WEIGHTS = "start.safetensors"
"""In a store: what all its fields begin with, where they do."""


def done_mark(folder: Path, index: int) -> Path:
    """What says that an item needs no work any more, wherever it is."""
    return folder / WORK / f"{index:08d}.done"


def work(folder: Path, device: str) -> None:
    """Fits what nobody has fitted or is fitting.

    Args:
        folder: the store's.
        device: where it trains.

    Raises:
        SignalError: the store cannot be read or written.
    """
    mark = read_mark(folder)
    assert mark is not None
    start = _start(folder, mark)
    leases, arrays = Leases(folder / WORK), {}
    known = {line["index"] for line in read_index(folder)}

    def is_done(index: int) -> bool:
        return index in known or done_mark(folder, index).exists() or landed_path(folder, index).exists()

    for item in read_items(folder / ITEMS):
        if is_done(item.index):
            continue
        with leases.taken(item.index) as mine:
            # Between the look and the lease another process may have come to its end.
            if not mine or is_done(item.index):
                continue
            line, weights = fitted(folder, item, mark["choices"], device, start, arrays)
            land(folder, item.index, line, weights)
            done_mark(folder, item.index).touch()


def is_over(folder: Path) -> bool:
    """Whether another program has seen the end of all items, and taken the leases away."""
    return not (folder / WORK).is_dir()


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
        with suppress(OSError), open(folder / ERRORS, "a", encoding="utf-8") as log:
            log.write(f"{item.name}\n{traceback.format_exc()}\n")
        said = (str(error) or type(error).__name__).splitlines()[0]
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


def main() -> None:
    folder, device = Path(sys.argv[1]), sys.argv[2]

    def listen() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    # What libraries print is none of the coordinator's business.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import torch

    torch.set_num_threads(1)
    try:
        work(folder, device)
    except FileNotFoundError:
        if not is_over(folder):
            raise
    except SignalError as error:
        parts = {"source": error.source, "problem": error.problem, "advice": error.advice}
        print(json.dumps(parts), file=answer, flush=True)
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
