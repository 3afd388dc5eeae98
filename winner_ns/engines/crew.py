"""Workers at a job until nothing is left to do, whatever becomes of some of them."""

from __future__ import annotations

import os
import socket
import uuid
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Sequence

from winner_ns.engines.engine import AGAIN, Ending, Engine, Worker
from winner_ns.engines.leases import WORK, Leases
from winner_ns.errors import SignalError

LOOK = 0.25
"""Seconds between two looks at a folder that is worked on."""
CRASHES = 2
"""Of workers at one piece of work, after which it is left: what ends one may have had to do with others."""
LOSSES = 20
"""Likewise of workers that were lost with their machine."""
SOURCES = 64
"""Files, of different folders, that are looked for where a worker starts."""


class NoWorkers(SignalError):
    """No process can be started."""


class Crew:
    """Workers at a job; a block, at whose end they have ended.

    Args:
        engine: starts them.
        job: module of the work.
        folder: that is worked on.
        devices: a worker each.
        sources: all files that are read.
        give_up: is told of a piece of work that nothing comes of, and why; it lands that.

    Raises:
        NoWorkers: none can be started.
    """

    def __init__(
        self,
        engine: Engine,
        job: str,
        folder: Path,
        devices: Sequence[str],
        sources: Iterable[str],
        give_up: Callable[[str, str], None],
    ) -> None:
        self.engine, self.job, self.folder, self.give_up = engine, job, folder.absolute(), give_up
        self.leases = Leases(folder / WORK)
        self.workers: List[Worker] = []
        self._devices = devices
        self._crashes: Dict[str, int] = Counter()
        self._losses: Dict[str, int] = Counter()
        each_folder = {os.path.dirname(path): path for path in sources}
        self._sources = [path for path in list(each_folder.values())[:SOURCES] if os.path.exists(path)]

    def __enter__(self) -> Crew:
        try:
            for device in self._devices:
                self._start(device)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.end(self.workers)
        self.workers = []

    def look(self) -> bool:
        """Sees to workers that have ended; gives whether any is at work.

        Raises:
            SignalError: one could not read or write the folder, or they all end before they do anything.
        """
        for worker in list(self.workers):
            ending = worker.ending()
            if ending is None:
                continue
            self.workers.remove(worker)
            if not self.leases.folder.is_dir():
                continue  # Another program has seen the end of all work: nothing that this one said means anything.
            if ending.error is not None:
                raise ending.error
            if ending.status not in (0, AGAIN):
                self._after_crash(worker, ending)
            if ending.status != 0:
                self._start(worker.device)
        return bool(self.workers)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is at work any more, here or elsewhere.

        Raises:
            SignalError: the folder of leases is gone, without which nobody can be.
        """
        if self.workers:
            return False
        if not self.leases.folder.is_dir():
            problem = "was taken away while it was worked in"
            raise SignalError(self.leases.folder, problem, "the same command goes on")
        return not self.leases.any_alive()

    def go_on(self, left: int) -> None:
        """Has workers see to what is left: so many pieces, which others may have had until their machine was gone."""
        for device in self._devices[:left]:
            self._start(device)

    def _start(self, device: str) -> None:
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            self.workers.append(self.engine.start(self.job, self.folder, device, name, self._sources))
        except OSError as error:
            # No more processes, or no memory for one: fewer are enough. What is over needs none.
            if not self.workers and self.leases.folder.is_dir():
                problem = f"no process to train it could be started ({error})"
                raise NoWorkers(self.folder, problem, "close other programs; the same command goes on") from error

    def _after_crash(self, worker: Worker, ending: Ending) -> None:
        """What a worker was at when it ended is tried once more, then left."""
        count, most = (self._losses, LOSSES) if ending.lost else (self._crashes, CRASHES)
        held = list(self.leases.held_by(worker.name))
        reason = f"was ended by signal {-ending.status} (out of memory?)"
        if ending.lost:
            reason = "was lost with its machine each time"
        elif ending.status >= 0:
            reason = f"ended with status {ending.status}"
        if not held:
            count[""] += 1
            if count[""] > most:
                advice = f"run `python -m winner_ns.engines.worker {self.job} {self.folder} cpu` to see why"
                raise SignalError(self.folder, f"no process does anything: the last one {reason}", advice)
        for piece in held:
            count[piece] += 1
            if count[piece] >= most:
                self.give_up(piece, f"the process {reason}")
                self.leases.path(piece).unlink(missing_ok=True)
