"""Numbers too small to matter, in Adam's moments and the tails of bells above all, slow a CPU down by a factor."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Takes denormal numbers for zero, and puts the setting back: it is the thread's, and other code there may want
    them. Also a decorator."""
    # What numpy knows of its numbers it finds out when it is first asked, and keeps.
    np.finfo(np.float32)
    np.finfo(np.float64)
    flushed_before = sys.float_info.min / 2 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed_before)
