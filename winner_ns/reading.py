"""What may be opened: files that end, and no more of them than was allowed when they are unpacked."""

from __future__ import annotations

import math
import os
import stat
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Iterator, Optional, Union

from winner_ns.errors import SignalError

MOST_MAGNITUDE = 1e30
"""Of numbers that values are multiplied with or moved by, and over the least of scales; float32 ends at 3e38."""
DECODED_LIMIT = 2.0
"""GiB that a file may take when it is unpacked, where nothing else is asked for."""

_GIB = 2.0**30
_SORTS = (
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
)

_limit: ContextVar[float] = ContextVar("decoded_limit", default=DECODED_LIMIT)


def check_sort(path: Union[str, os.PathLike]) -> Optional[os.stat_result]:
    """Looks what a path leads to, without opening it: a pipe waits for ever, and a device may never end.

    Returns:
        What is known of it; None where nothing is there.

    Raises:
        SignalError: it is neither a file nor a folder, cannot be looked at, or is no path.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SignalError(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from error
    except ValueError as error:
        raise SignalError(repr(str(path)), f"is no path ({error})", "check the path") from error
    for is_sort, words in _SORTS:
        if is_sort(status.st_mode):
            raise SignalError(path, f"{words}, no file", "save what comes from it to a file, and give that")
    return status


@contextmanager
def decoded_limit(gibibytes: float) -> Iterator[None]:
    """Within it, files may take so many GiB when they are unpacked; 0: as many as they like."""
    token = _limit.set(gibibytes or math.inf)
    try:
        yield
    finally:
        _limit.reset(token)


def check_decoded(path: Path, size: float) -> None:
    """Raises SignalError where a file would take more bytes unpacked than is allowed; to be asked before it does.

    What can be read in pieces, or mapped, has no such limit.
    """
    limit = _limit.get()
    if size <= limit * _GIB:
        return
    wanted = math.ceil(size / _GIB)
    problem = f"would take {size / _GIB:.3g} GiB unpacked, and {limit:g} GiB are allowed (decoded_limit)"
    advice = f"where you trust it, allow more: --decoded-limit {wanted}, of ns-train read.decoded-limit"
    raise SignalError(path, problem, advice)
