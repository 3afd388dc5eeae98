"""How long a program has worked, which on shared processors is less than has passed."""

from __future__ import annotations

import time

import torch


def working_time() -> float:
    """Seconds, from some moment on, in which the program had its processors: those of all its threads, by the number of
    threads that torch calculates in. Where a GPU calculates, the clock's."""
    if torch.cuda.is_initialized():
        return time.monotonic()
    return time.process_time() / torch.get_num_threads()
