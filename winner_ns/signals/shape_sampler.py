"""Training samples of a shape, drawn ahead of time by a process of low priority.

Measuring distances holds Python's global lock, so a thread would stop training. The process is a plain Python with this
module, not one of multiprocessing's: those import the main program again, which for a trainer takes seconds and
memory, and which fails in scripts without a main guard.
"""

from __future__ import annotations

import math
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import weakref
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from jaxtyping import Float

from winner_ns.interruption import SIGNALS
from winner_ns.signals.shape import NearSurface, ShapeSignal

AHEAD = 2
"""Blocks that are drawn before they are asked for; they and the current one are all that is kept."""

Block = Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]


def block_seed(seed: int, number: int) -> int:
    """What a block of that number is drawn with."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def draw_block(
    shape: ShapeSignal, block_size: int, seed: int, number: int, near_surface: Optional[NearSurface] = None
) -> Block:
    """Points and signed distances as `ShapeSignal.sample` gives them, the same for the same seed and number."""
    return shape.sample(block_size, block_seed(seed, number), near_surface)


class ShapeSampler:
    """Endless training samples of a shape, in blocks that depend on the seed and their number alone.

    Where no process can be started, or it dies, blocks are drawn when they are asked for.

        with ShapeSampler(shape, 2**18, seed=0) as sampler:
            points, distances = sampler.block(0)

    Args:
        shape: what is sampled.
        block_size: samples in a block.
        seed: any integer from 0.
        near_surface: as for `ShapeSignal.sample`.
        background: draw ahead in another process, from now on; else in this one, when asked.
        first: the block that is going to be asked for first.
        last: none later than that is drawn ahead; None: there is no last one.
    """

    def __init__(
        self,
        shape: ShapeSignal,
        block_size: int,
        seed: int,
        near_surface: Optional[NearSurface] = None,
        background: bool = True,
        first: int = 0,
        last: Optional[int] = None,
    ) -> None:
        self.shape, self.block_size, self.seed, self.near_surface = shape, block_size, seed, near_surface
        self._last: Optional[Tuple[int, Block]] = None
        self._end = math.inf if last is None else last + 1
        needed = background and first < self._end
        self._worker = _start((shape, block_size, seed, near_surface)) if needed else None
        if self._worker is not None:
            self._worker.want(self._ahead(first))
            # Also where the sampler is forgotten or the program ends.
            weakref.finalize(self, self._worker.stop)

    @property
    def in_background(self) -> bool:
        """Whether another process is at work."""
        return self._worker is not None and self._worker.alive

    def block(self, number: int) -> Block:
        """The block of that number, from 0; waits where it is not ready. The following ones are drawn next.

        Raises:
            SignalError: the shape cannot be sampled.
        """
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        wanted = range(number, max(self._ahead(number + 1).stop, number + 1))
        block = self._worker.take(wanted) if self._worker is not None and self._worker.alive else None
        if block is None:
            block = draw_block(self.shape, self.block_size, self.seed, number, self.near_surface)
        self._last = (number, block)
        return block

    def _ahead(self, first: int) -> range:
        """The blocks that are drawn ahead from this one on."""
        return range(first, int(min(first + AHEAD, self._end)))

    def close(self) -> None:
        """Ends the other process; blocks are drawn in this one from then on."""
        if self._worker is not None:
            self._worker.stop()

    def __enter__(self) -> ShapeSampler:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> Dict[str, Any]:
        kept = ("shape", "block_size", "seed", "near_surface")
        return {**{name: getattr(self, name) for name in kept}, "background": self.in_background}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__init__(**state)


class _Worker:
    """The other process as seen from here, and what it has sent."""

    def __init__(self, process: subprocess.Popen, task: tuple) -> None:
        self._process, self._owner = process, os.getpid()
        assert process.stdin is not None and process.stdout is not None  # It was started with pipes.
        self._to_process, self._from_process = process.stdin, process.stdout
        self._ended = False
        self._wanted: List[int] = []
        self._ready: Dict[int, Any] = {}
        self._news = threading.Condition()
        self._messages: queue.SimpleQueue = queue.SimpleQueue()
        self._messages.put(task)
        for work in (self._write, self._read):
            threading.Thread(target=work, daemon=True).start()

    @property
    def alive(self) -> bool:
        # A forked process has the object, but not the threads behind it.
        return not self._ended and os.getpid() == self._owner

    def want(self, numbers: range) -> None:
        with self._news:
            self._wanted = list(numbers)
            self._ready = {number: self._ready[number] for number in numbers if number in self._ready}
            self._messages.put([number for number in numbers if number not in self._ready])

    def take(self, numbers: range) -> Optional[Block]:
        """Waits for the first of some blocks and has the others drawn; None where the process has ended."""
        number = numbers.start
        self.want(numbers)
        with self._news:
            while number not in self._ready and not self._ended:
                self._news.wait(1.0)
            block = self._ready.pop(number, None)
            # It may come once more, where it was on its way when it was asked for.
            self._wanted = [other for other in self._wanted if other != number]
        if isinstance(block, Exception):
            raise block
        return block

    def stop(self) -> None:
        if os.getpid() != self._owner:
            return
        self._end()
        self._process.kill()
        self._process.wait()

    def _end(self) -> None:
        with self._news:
            self._ended = True
            self._ready.clear()
            self._news.notify_all()
        self._messages.put(None)

    def _write(self) -> None:
        try:
            with self._to_process as pipe:
                while (message := self._messages.get()) is not None:
                    pickle.dump(message, pipe, protocol=5)
                    pipe.flush()
        except Exception:  # Any type: then blocks are drawn in this process, which says what is wrong.
            self._end()

    def _read(self) -> None:
        try:
            with self._from_process as pipe:
                while True:
                    number, block = pickle.load(pipe)
                    with self._news:
                        if number in self._wanted and not self._ended:
                            self._ready[number] = block
                            self._news.notify_all()
        except Exception:  # Any type: whatever the last bytes of a process that died are taken for.
            self._end()
            self._process.wait()


def _start(task: tuple) -> Optional[_Worker]:
    """Starts the other process; None where that cannot be done."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", "from winner_ns.signals.shape_sampler import _serve; _serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # One thread: the others are training's.
            env={
                **os.environ,
                "IGL_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            },
        )
    except (OSError, TypeError, ValueError):
        return None
    return _Worker(process, task)


def _serve() -> None:
    """What the other process does: draws the blocks that are wanted, in their order, until nobody listens."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # The main process is told, too, and ends this one.
    if hasattr(os, "nice"):
        os.nice(10)
    incoming, output = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Blocks alone go through the pipe, whatever libraries print.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    shape, block_size, seed, near_surface = pickle.load(incoming)
    wanted: List[int] = []
    news = threading.Condition()

    def listen() -> None:
        try:
            while True:
                numbers = pickle.load(incoming)
                with news:
                    wanted[:] = numbers
                    news.notify()
        finally:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    parent = os.getppid()
    while True:
        with news:
            while not wanted:
                # The pipe stays open where the main process has left children behind.
                if os.getppid() != parent:
                    os._exit(0)
                news.wait(1.0)
            number = wanted[0]
        try:
            block: Any = draw_block(shape, block_size, seed, number, near_surface)
        except Exception as error:  # Any type: it is raised where the block is asked for.
            block = error
        pickle.dump((number, block), output, protocol=5)
        output.flush()
        with news:
            if number in wanted:
                wanted.remove(number)
