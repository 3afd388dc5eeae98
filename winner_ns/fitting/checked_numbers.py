"""Numbers that users choose, checked once and made plain: numpy's and torch's become Python's."""

from __future__ import annotations

import math
import operator
from typing import Any, Optional

from winner_ns.errors import setting_error


def whole_number(setting: str, value: Any, least: int, most: int = 2**62) -> int:
    """A whole number within limits, as an int.

    Raises:
        SignalError: it is none, or beyond the limits.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise setting_error(setting, f"{shown(value)} is no whole number", f"give one from {least} on")
    if number < least:
        raise setting_error(setting, f"{number} is too small", f"give at least {least}")
    if number > most:
        raise setting_error(setting, f"{number} is too large", f"give at most {most:,}")
    return number


def real_number(setting: str, value: Any, most: float = 1e9, positive: bool = True) -> float:
    """A number above 0, or from 0 on, within a limit, as a float.

    Raises:
        SignalError: it is none, or beyond the limits.
    """
    try:
        number: Optional[float] = None if isinstance(value, (str, bytes, bool)) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = None
    if number is None:
        raise setting_error(setting, f"{shown(value)} is no number", "give one")
    if math.isnan(number) or number < 0 or (positive and number == 0):
        above = "above 0" if positive else "0 or more"
        raise setting_error(setting, f"{number} is not {above}", "give a positive one" if positive else "give another")
    if number > most:
        raise setting_error(setting, f"{number:g} is too large", f"give at most {most:g}")
    return number


def text(setting: str, value: Any, advice: str) -> str:
    """A word.

    Raises:
        SignalError: it is none.
    """
    if not isinstance(value, str):
        raise setting_error(setting, f"{shown(value)} is no word", advice)
    return value


def shown(value: Any) -> str:
    """What a value is, in a few characters."""
    words = " ".join(repr(value).split())
    return words if len(words) <= 40 else f"{words[:37]}..."
