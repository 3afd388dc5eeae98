"""Where work on many signals is done: in processes of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

from winner_ns.errors import SignalError

CRASHES = 2
"""Of processes on one item, after which it is left: what ends one may have had to do with others."""


def devices(workers: int = 0, device: Optional[str] = None) -> List[str]:
    """Where each of the processes trains: a GPU each, else a core each.

    Args:
        workers: number of processes; 0: as many as there are GPUs, or cores that this program may use; one on a
            device that is named and not the CPU.
        device: where all of them train; None: see above.
    """
    import torch

    if device is not None and torch.device(device).type != "cpu":
        return [device] * (workers or 1)
    if device is None and torch.cuda.is_available():
        gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        return [gpus[number % len(gpus)] for number in range(workers or len(gpus))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["cpu"] * (workers or cores)


def started(module: str, folder: Path, device: str, own_session: bool) -> "subprocess.Popen[str]":
    """A process that runs a module on a folder, and is spoken with through its standard input and output.

    Args:
        module: takes the folder and the device, and ends where its input does.
        folder, device: what it works on, and where.
        own_session: whether Ctrl-C in the terminal is kept from it.
    """
    # One thread each: what comes out, and how long it takes, must not depend on how many others there are.
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "IGL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", module, str(folder), device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env={**os.environ, **one, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        start_new_session=own_session,
    )


class LocalProcess:
    """A worker of this machine, with a device of its own.

    Args:
        folder: the store's.
        device: where it trains.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        # Training would take Ctrl-C, which is for the program that started it, for its own.
        self.process = started("winner_ns.many.worker", folder, device, own_session=True)

    @property
    def number(self) -> int:
        """Of the process."""
        return self.process.pid

    def status(self) -> Optional[int]:
        """None while it is at work, 0 where nothing was left for it, else how it ended: below 0 by a signal.

        Raises:
            SignalError: it could not read or write the store.
        """
        status = self.process.poll()
        if status == 1 and self.process.stdout is not None:
            try:
                parts = json.loads(self.process.stdout.read())
            except ValueError:
                return status  # It had nothing to say.
            raise SignalError(**parts)
        return status

    def end(self) -> None:
        """Ends it, whatever it is at."""
        self.process.kill()
        self.process.wait()
