"""What a user is told while something takes its time, on a terminal: what is going on, and how much of it is done."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from contextlib import contextmanager
from typing import Callable, Iterator

from winner_ns.safe_text import terminal

PATIENCE = 2.0
"""Seconds that pass before a bar is shown."""

Report = Callable[[str, int, int], None]
"""Told what is going on, how much of it is done, and of how much."""


def announce(*words: object) -> None:
    """Says at once, on a terminal, what a command is about to do: what it imports for that takes seconds."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(terminal(" ".join(map(str, words))), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A time as it is told: 40 s, 12 min, 3.5 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def silence_libraries() -> None:
    """Keeps from the screen what libraries warn other programmers of; `python -W default` brings it back."""
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=r"(?!winner_ns)")


def silent(doing: str, done: int, total: int) -> None:
    """A report that nobody reads."""


@contextmanager
def progress_bar(long: bool = False) -> Iterator[Report]:
    """Shows what the block reports on standard error, if that is a terminal, and takes it away at the end.

    A bar moves with reports only: libigl's calls let no other thread run. Threads other than the main one show none.

    Args:
        long: known to take long: shown at once.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal or threading.current_thread() is not threading.main_thread():
        yield silent
        return
    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
    task = bar.add_task("")
    started = time.monotonic()

    def report(doing: str, done: int, total: int) -> None:
        bar.update(task, description=terminal(doing), completed=done, total=total)
        if not bar.live.is_started and (long or time.monotonic() - started > PATIENCE):
            bar.start()
        if bar.live.is_started:
            bar.refresh()

    try:
        yield report
    finally:
        bar.stop()
