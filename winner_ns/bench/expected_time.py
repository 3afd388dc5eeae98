"""How long a benchmark will take, from a few steps of every field: said before anybody waits for it."""

from __future__ import annotations

import time
from typing import Dict, Sequence, Tuple

from winner_ns.bench.cell_training import target_of_cell
from winner_ns.bench.cells import Cell
from winner_ns.bench.departures import initial_field, settle
from winner_ns.errors import SignalError
from winner_ns.fields.denormals import flushed_denormals
from winner_ns.fitting.target import Target
from winner_ns.fitting.training import Training, synchronise

MOST_SAMPLES = 2048
"""Of a step that is timed; the time of others is in proportion."""
TIMED_STEPS = 2


@flushed_denormals()
def expected_seconds(cells: Sequence[Cell], device: str = "cpu") -> float:
    """The seconds that training takes one cell after the other: of each field, steps are timed on the first signal of
    each kind. What is done beside training (figures, pictures) is not in it.

    Args:
        cells: those that are to be trained.
        device: where.
    """
    targets: Dict[str, Target] = {}
    of_a_sample: Dict[Tuple[str, str], float] = {}
    total = 0.0
    for cell in cells:
        try:
            if cell.kind not in targets:
                targets[cell.kind] = target_of_cell(cell)
            if (cell.kind, cell.field) not in of_a_sample:
                of_a_sample[cell.kind, cell.field] = _seconds_of_a_sample(cell, targets[cell.kind], device)
        except SignalError:
            continue  # Its own worker says what is wrong.
        batch = min(cell.batch or targets[cell.kind].train_size, targets[cell.kind].train_size)
        total += of_a_sample[cell.kind, cell.field] * batch * cell.steps
    for target in targets.values():
        target.close()
    return total


def _seconds_of_a_sample(cell: Cell, target: Target, device: str) -> float:
    """Of a step, over its number of samples."""
    settled = settle(cell.plan, target, cell.batch, cell.departures)
    batch = target.batch(0, MOST_SAMPLES)
    training = Training(
        initial_field(settled, cell.departures).to(device), lambda step: batch, cell.steps, settled.learning_rate
    )
    training.advance()
    synchronise(training.device)
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        training.advance()
    synchronise(training.device)
    return (time.perf_counter() - started) / (TIMED_STEPS * len(batch[0]))
