"""As many cells at the same time as there are cores (or GPUs), each in a process of its own that trains many."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

from winner_ns.bench.cells import Cell


def devices(workers: int = 0) -> List[str]:
    """Where each of the processes trains: a GPU each, else a core each.

    Args:
        workers: number of processes; 0: as many as there are GPUs, or cores that this program may use.
    """
    import torch

    if torch.cuda.is_available():
        gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        return [gpus[number % len(gpus)] for number in range(workers or len(gpus))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["cpu"] * (workers or cores)


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
                    process = _start(folder, device)
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


def _start(folder: Path, device: str) -> subprocess.Popen:
    # One thread each: measured cells must not depend on how many others there are.
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "IGL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "winner_ns.bench.worker", str(folder), device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env={**os.environ, **one, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
    )


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
