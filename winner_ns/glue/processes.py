"""`ns-train` in several processes: this one is the first of its machine, and starts the others."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
from typing import Any, Callable, List
from urllib.parse import urlparse

import numpy as np
import torch
import torch.distributed as dist
from nerfstudio.utils import profiler

from winner_ns.errors import SignalError, one_line_errors
from winner_ns.fitting.processes import LOST, ProcessLost, begin, cores, leave, meeting_place
from winner_ns.interruption import APART, SIGNALS, Ended

SECONDS_TO_END = 15.0
"""That the first process may take to notice that another is gone, before it is ended."""


def train_in_processes(
    main_func: Callable[..., None],
    num_devices_per_machine: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    config: Any = None,
    **_: Any,
) -> None:
    """Trains by a settled config in as many processes as it says; arguments as of nerfstudio's launcher. Where they do
    not find each other, the program ends with one line."""
    count, size = num_devices_per_machine, num_devices_per_machine * num_machines
    address = urlparse("tcp://127.0.0.1" if dist_url == "auto" else dist_url)
    with one_line_errors():
        store = meeting_place(address.hostname or "", address.port or 0, size, machine_rank == 0)
    host, port = store.host, store.port
    first = machine_rank * count
    others: List[subprocess.Popen] = []
    over = threading.Event()
    try:
        with one_line_errors():
            for i in range(1, count):
                others.append(_started(config, first + i, size, count, i, host, port))
        threading.Thread(target=_watch, args=(others, size, over), daemon=True).start()
        with one_line_errors():
            begin(first, size, count, 0, store)
        if first > 0:
            config.vis = "tensorboard"
        # Of one process, as far as nerfstudio knows: it would wrap the model for devices that may not be there.
        main_func(local_rank=0, world_size=1, config=config)
    except Ended:
        if not dist.is_initialized():
            print("interrupted before the first step; nothing is kept", file=sys.stderr)
        raise
    finally:
        over.set()
        _end(others)
        leave()
        profiler.flush_profiler(config.logging)


def _started(config: Any, rank: int, size: int, count: int, local_rank: int, host: str, port: int) -> subprocess.Popen:
    """A further process, which ends where its input does: it never outlives this one."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // count)))
    try:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "winner_ns.glue.processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": threads},
            # Ctrl-C is for the first one, also while this one still imports what it needs.
            **APART,
        )
        assert process.stdin is not None  # It was started with a pipe.
        pickle.dump((config, rank, size, count, local_rank, host, port), process.stdin)
        process.stdin.flush()
    except OSError as error:
        problem = f"process {rank + 1} of {size} could not be started ({error.strerror or error})"
        raise SignalError("--machine.num-devices", problem, "close other programs, or give fewer") from error
    return process


def _watch(others: List[subprocess.Popen], size: int, over: threading.Event) -> None:
    """Ends the program where another process has died and nobody notices: while they look for each other, or on GPUs,
    which wait for each other without an end."""
    while not over.wait(0.2):
        if not any(other.poll() for other in others):
            continue
        # On the CPU it is noticed wherever others are needed; what the first one does alone may take its time.
        met_on_cpu = dist.is_initialized() and not torch.cuda.is_available()
        if met_on_cpu or LOST.wait(SECONDS_TO_END) or over.is_set():
            return
        _end(others)
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h")  # A progress bar has hidden the cursor.
        os.write(2, f"winner-ns: error: {ProcessLost(size)}\n".encode())
        os._exit(1)


def _end(others: List[subprocess.Popen]) -> None:
    for other in others:
        other.kill()  # Nothing of what it has is lost: the first one has it all.
    for other in others:
        other.wait()


def main() -> None:
    config, rank, size, count, local_rank, host, port = pickle.load(sys.stdin.buffer)

    def listen() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # The first one decides when a training ends.
    try:
        begin(rank, size, count, local_rank, meeting_place(host, port, size, False))
    except SignalError:
        sys.exit(1)  # The first one says it.
    # As the first one has them.
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(config.machine.seed)
    config.vis = "tensorboard"
    trainer = config.setup(local_rank=local_rank, world_size=1)
    trainer.setup()
    trainer.train()


if __name__ == "__main__":
    main()
