"""A process that trains cells: reads one as a JSON line, writes its record as another, until there are no more; and
lines about its progress in between.

    python -m winner_ns.bench.worker FOLDER DEVICE

It ends at once where the program that started it does, so that a killed benchmark leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict

from winner_ns.interruption import SIGNALS

ERRORS = "errors.log"
"""In the benchmark's folder: what went wrong with cells, in full."""


def main() -> None:
    folder, device = Path(sys.argv[1]), sys.argv[2]
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # The main program is told, too, and ends this one.
    # Records alone go through the pipe, whatever libraries print.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tasks: "queue.SimpleQueue[str]" = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            tasks.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()

    import torch

    from winner_ns.bench.cell_training import run_cell
    from winner_ns.bench.cells import Cell

    def write(line: Dict[str, Any]) -> None:
        print(json.dumps(line), file=output, flush=True)

    torch.set_num_threads(1)
    while True:
        cell = Cell.from_dict(json.loads(tasks.get()))
        answer: Dict[str, Any]
        try:
            answer = {"record": run_cell(cell, folder, device, lambda progress: write({"progress": progress}))}
        except Exception as error:  # Any type: one cell that fails is no reason to lose the others.
            name = f"{cell.signal}, {cell.field}, seed {cell.seed}"
            lines = (str(error) or type(error).__name__).splitlines()
            answer = {"error": f"{name}: {lines[0]}"}
            with suppress(OSError), open(folder / ERRORS, "a", encoding="utf-8") as log:
                log.write(f"{name}\n{traceback.format_exc()}\n")
        write(answer)


if __name__ == "__main__":
    main()
