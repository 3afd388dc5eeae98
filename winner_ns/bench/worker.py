"""The job of a benchmark (`winner_ns.engines`): trains the cells that its folder has no results of.

work/cells.jsonl      cells, by whoever leads the benchmark
work/CELL.lease       a cell is being trained
work/CELL.progress    how far it is, where it takes long
work/CELL.landed      its record, or in one line why there is none
work/CELL.done        the record is among the results
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, Sequence

from winner_ns.bench.cells import Cell
from winner_ns.engines.leases import WORK, Leases
from winner_ns.engines.worker import noted_error
from winner_ns.synced import replacing_synced
from winner_ns.writing import make_folder, replacing

CELLS = "cells.jsonl"
PROGRESS, LANDED, DONE = "progress", "landed", "done"
"""Suffixes of a cell's files."""


def piece_of(cell: Cell) -> str:
    """What a cell is called among the leases."""
    return cell.key.rpartition("/")[2]


def file_of(folder: Path, piece: str, suffix: str) -> Path:
    """One of a cell's files while the benchmark is unfinished."""
    return folder / WORK / f"{piece}.{suffix}"


def name_of(cell: Cell) -> str:
    """What a cell is called by people."""
    return f"{cell.signal}, {cell.field}, seed {cell.seed}"


def write_cells(folder: Path, cells: Sequence[Cell]) -> None:
    """Says what is to be trained."""
    with (
        replacing_synced(make_folder(folder / WORK) / CELLS) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.writelines(json.dumps(cell.as_dict()) + "\n" for cell in cells)


def read_cells(folder: Path) -> Iterator[Cell]:
    """What `write_cells` has written."""
    with open(folder / WORK / CELLS, encoding="utf-8") as file:
        for line in file:
            yield Cell.from_dict(json.loads(line))


def land(folder: Path, piece: str, answer: Dict[str, Any]) -> None:
    """Writes what came of a cell: {"record": …} or {"error": one line}."""
    with replacing_synced(file_of(folder, piece, LANDED)) as temporary:
        temporary.write_text(json.dumps(answer, allow_nan=False), encoding="utf-8")


def read_answer(folder: Path, piece: str) -> Dict[str, Any]:
    """What has landed."""
    return json.loads(file_of(folder, piece, LANDED).read_text(encoding="utf-8"))


def work(folder: Path, device: str, worker: str = "") -> bool:
    """Trains what nobody has trained or is training.

    Args:
        folder: the benchmark's.
        device: where.
        worker: the name that its leases have.

    Returns:
        Whether another process should go on with it: after an error on a GPU, one may be able to do nothing more, or
        hold on to its memory.
    """
    from winner_ns.bench.cell_training import run_cell
    from winner_ns.bench.machine import describe_machine

    leases, machine = Leases(folder / WORK, worker), describe_machine([device])

    def is_done(piece: str) -> bool:
        return file_of(folder, piece, LANDED).exists() or file_of(folder, piece, DONE).exists()

    for cell in read_cells(folder):
        piece = piece_of(cell)
        if is_done(piece):
            continue
        with leases.taken(piece) as mine:
            # Between the look and the lease another process may have come to its end.
            if not mine or is_done(piece):
                continue
            progress = file_of(folder, piece, PROGRESS)

            def tell(state: Dict[str, Any], progress: Path = progress) -> None:
                with replacing(progress) as temporary:
                    temporary.write_text(json.dumps(state), encoding="utf-8")

            try:
                answer = {"record": {**run_cell(cell, folder, device, tell), "machine": machine}}
            except Exception as error:  # Any type: one cell that fails is no reason to lose the others.
                answer = {"error": f"{name_of(cell)}: {noted_error(folder, name_of(cell), error)}"}
            land(folder, piece, answer)
            progress.unlink(missing_ok=True)
            if "error" in answer and device != "cpu":
                return True
    return False
