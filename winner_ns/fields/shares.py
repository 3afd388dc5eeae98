"""Work on many points, a share for each of the processor's cores.

Threads that share every single matrix product wait for each other thousands of times a second; on a machine that has
other work as well that costs up to ten times the work itself (measured). Here each thread takes its own points.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import Callable, List, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


def in_shares(work: Callable[..., Result], chunk: int, *points: Tensor) -> List[Result]:
    """Calls work(*shares of the tensors), one share a thread on a CPU and all at once elsewhere.

    Args:
        work: a function of tensors with the same number of rows.
        chunk: rows below which a share is not worth a thread.
        points: tensors with the same number of rows.

    Returns:
        The results in the order of the rows.
    """
    threads = torch.get_num_threads() if points[0].device.type == "cpu" else 1
    share = max(-(-len(points[0]) // threads), chunk)
    parts = list(zip(*(tensor.split(share) for tensor in points)))
    if len(parts) == 1:
        return [work(*points)]
    return list(_one_thread_each(threads).map(lambda part: work(*part), parts))


@lru_cache(maxsize=1)
def _one_thread_each(threads: int) -> ThreadPoolExecutor:
    everyone = Barrier(threads)

    def set_up() -> None:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)

    pool = ThreadPoolExecutor(threads, "share", initializer=set_up)
    # All workers start now: torch hands the number that was set last, in whatever thread, to every thread to come.
    list(pool.map(lambda _: everyone.wait(), range(threads)))
    torch.set_num_threads(threads)
    return pool
