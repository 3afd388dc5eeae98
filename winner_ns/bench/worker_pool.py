"""As many cells at the same time as there are cores (or GPUs), each in a process of its own that trains many."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

from winner_ns.bench.cells import Cell
from winner_ns.many.engine import started


def run_cells(cells: Sequence[Cell], folder: Path, where: Sequence[str]) -> Iterator[Dict[str, Any]]:
    """Trains cells and gives an answer for each as soon as it is there: {"record": …} or {"error": one line}, and
    its "key"; of long ones also {"progress": …}, as `UnfinishedCell` tells.

    Args:
        cells: in the order in which they are begun.
        folder: the benchmark's.
        where: a device for each process.
    """
    waiting: "queue.SimpleQueue[Cell]" = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    answers: "queue.SimpleQueue[Dict[str, Any]]" = queue.SimpleQueue()
    processes: List[subprocess.Popen] = []
    stopped = threading.Event()

    def serve(device: str) -> None:
        process = None
        while not stopped.is_set():
            try:
                cell = waiting.get_nowait()
            except queue.Empty:
                break
            try:
                if process is None:
                    process = started("winner_ns.bench.worker", folder, device, own_session=False)
                    processes.append(process)
                answer = _ask(process, cell, answers)
            except OSError as error:  # No more processes, or no memory for one.
                answer = {"error": f"{_name(cell)}: no process to train it could be started ({error})"}
            if "error" in answer and process is not None:
                # After an error on a GPU a process may be able to do nothing more, or hold on to its memory.
                process.kill()
                process.wait()
                process = None
            answers.put({**answer, "key": cell.key})
        if process is not None:
            process.stdin.close()

    threads = [threading.Thread(target=serve, args=(device,), daemon=True) for device in where[: len(cells)]]
    try:
        for thread in threads:
            thread.start()
        left = len(cells)
        while left:
            answer = answers.get()
            left -= "progress" not in answer
            yield answer
    finally:
        stopped.set()
        for process in processes:
            process.kill()
            process.wait()


def _name(cell: Cell) -> str:
    return f"{cell.signal}, {cell.field}, seed {cell.seed}"


def _ask(process: subprocess.Popen, cell: Cell, news: "queue.SimpleQueue[Dict[str, Any]]") -> Dict[str, Any]:
    """What a process answers to a cell; what it says of its progress goes to the news."""
    try:
        process.stdin.write(json.dumps(cell.as_dict()) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if not line.endswith("\n"):
                break
            answer = json.loads(line)
            if "progress" not in answer:
                return answer
            news.put(answer)
    except OSError:
        pass
    status = process.wait()
    reason = f"was ended by signal {-status} (out of memory?)" if status < 0 else f"ended with status {status}"
    return {"error": f"{_name(cell)}: the process {reason}"}
