"""Keeping the chatter of C libraries off the user's terminal."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what is written to the process's standard error, C libraries' included.

    libpng, OpenCV and mpg123 print about a broken file by themselves; the one line that we raise says it better.
    """
    try:
        kept = os.dup(2)
    except OSError:  # A process without a standard error has nothing to keep quiet.
        yield
        return
    sys.stderr.flush()
    with open(os.devnull, "wb") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
