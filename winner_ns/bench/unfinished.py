"""What is trained of an unfinished cell: a killed benchmark goes on within it, and long cells tell of themselves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import torch

from winner_ns import __version__
from winner_ns.bench.cells import Cell
from winner_ns.errors import SignalError
from winner_ns.fitting.checkpoints import SaveClock, read_checkpoint
from winner_ns.fitting.training import Training
from winner_ns.synced import replacing_synced

FILE = "unfinished.pt"
"""In the cell's folder, until its record is among the results."""

Curve = Dict[str, List[float]]


class UnfinishedCell:
    """The state of a cell's training on the disk.

    Args:
        folder: the benchmark's.
        cell: what is trained.
        tell: is given what is known of the cell after each state: key, signal, field, seed, step, steps, and the
            seconds that these steps have taken.
    """

    def __init__(self, folder: Path, cell: Cell, tell: Callable[[Dict[str, Any]], None]) -> None:
        self.path, self.cell, self.tell = folder / cell.folder / FILE, cell, tell
        self.earlier = 0.0
        """Seconds of training in programs that have ended."""
        self._clock = SaveClock()

    def resume(self, training: Training) -> Tuple[float, Curve]:
        """Puts a training where a program was that has ended, if one has left a state.

        Returns:
            The seconds that its steps have taken, and the curve so far.
        """
        try:
            state = read_checkpoint(self.path, mapped=False)
        except SignalError:  # None there, or no whole one.
            state = {}
        if state.get("version") != __version__:
            return 0.0, {"steps": [], "seconds": []}
        training.load_state_dict(state["training"])
        self.earlier = state["seconds"]
        return state["seconds"], state["curve"]

    def keep(self, training: Training, seconds: float, curve: Curve) -> None:
        """Writes the state if it is time to, and tells."""
        if not self._clock.is_due:
            return
        started = time.monotonic()
        state = {"version": __version__, "seconds": seconds, "curve": curve, "training": training.state_dict()}
        with replacing_synced(self.path) as temporary:
            torch.save(state, temporary)
        self._clock.written(started)
        names = ("key", "signal", "field", "seed", "steps")
        self.tell({**{name: getattr(self.cell, name) for name in names}, "step": training.step, "seconds": seconds})
