"""Workers that are processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import List, Mapping, Optional, Sequence

from winner_ns.engines.engine import Ending, Engine
from winner_ns.errors import setting_error
from winner_ns.interruption import APART

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "IGL_NUM_THREADS"), "1")
"""What comes out, and how long it takes, must not depend on how many workers there are."""


class LocalWorker:
    """A process of this machine.

    Args:
        job, folder, device, name: as `Engine.start` has them.
        environment: beside this program's own.
    """

    def __init__(self, job: str, folder: Path, device: str, name: str, environment: Mapping[str, str]) -> None:
        self.name, self.device = name, device
        path = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "winner_ns.engines.worker", job, str(folder), device, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, **environment, **ONE_THREAD, "PYTHONPATH": path},
            # Training would take Ctrl-C, which is for the program that started it, for its own.
            **APART,
        )

    def ending(self) -> Optional[Ending]:
        status = self.process.poll()
        return None if status is None else Ending.of(status, self.said())

    def said(self) -> str:
        """What it has written when it has ended, which is waited for."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class LocalEngine(Engine):
    """This machine."""

    def __init__(self, address: str = "") -> None:
        if address:
            raise setting_error("on", f"local://{address} is no place to work on", "give local")

    def devices(self, workers: int = 0, device: Optional[str] = None) -> List[str]:
        import torch

        from winner_ns.fitting.fit import checked_device

        if device is not None and checked_device(device).type != "cpu":
            return [device] * (workers or 1)
        if device is None and torch.cuda.is_available():
            gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
            return [gpus[number % len(gpus)] for number in range(workers or len(gpus))]
        return ["cpu"] * (workers or cores())

    def start(self, job: str, folder: Path, device: str, name: str, sources: Sequence[str]) -> LocalWorker:
        return LocalWorker(job, folder, device, name, {})

    def end(self, workers: Sequence[LocalWorker]) -> None:
        for worker in workers:
            worker.kill()


def cores() -> int:
    """That this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
