"""What of a file is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass
class ReadOptions:
    """Which part of a sound is read, and how; other kinds are read whole."""

    start: float = 0.0
    """Where reading starts, in seconds."""
    duration: Optional[float] = None
    """How much is read, in seconds; to the end where left out."""
    duration_samples: Optional[int] = None
    """How much is read, in samples at the rate that is loaded; instead of `duration`."""
    sample_rate: Optional[int] = None
    """Rate to resample to, in hertz; the file's own where left out."""
    mono: bool = False
    """Average the channels into one."""
