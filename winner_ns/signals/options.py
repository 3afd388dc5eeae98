"""What of a file is read, and how much of it may be unpacked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from winner_ns.reading import DECODED_LIMIT


@dataclass
class ReadOptions:
    """Which part of a sound is read, and how; other kinds are read whole, and only how much may be unpacked counts."""

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
    decoded_limit: float = DECODED_LIMIT
    """GiB that a compressed file of any kind may take when it is unpacked; 0: as many as it likes."""

    @property
    def takes_a_part(self) -> bool:
        """Whether something else than the whole is asked for, as it can be of sounds alone."""
        return replace(self, decoded_limit=DECODED_LIMIT) != ReadOptions()
