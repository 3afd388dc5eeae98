"""What FFmpeg reads, by PyAV of any version."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Optional


def opened(path: Path) -> Any:
    """PyAV's container of a file, for a `with`: titles in no known encoding are no reason not to read it.

    Raises:
        Exception: of many types; it is none that FFmpeg knows.
    """
    import av

    try:
        return av.open(str(path), metadata_errors="replace")
    except TypeError:  # PyAV from 19 on reads them anyway, and has no such choice.
        return av.open(str(path))


def exact(ratio: Any) -> Optional[Fraction]:
    """A rate or a clock's tick, of which PyAV from 19 on has a type of its own; None where it is not known."""
    return None if ratio is None else Fraction(ratio.numerator, ratio.denominator)
