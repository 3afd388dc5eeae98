"""What a user sees of a fit while it runs: step, figure, time left."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator, Optional

from torch import Tensor

from winner_ns.fitting.target import Target
from winner_ns.fitting.training import batch_psnr
from winner_ns.safe_text import tell, terminal

if TYPE_CHECKING:
    from rich.progress import Progress

    from winner_ns.fitting.fit import FittedField

EVERY, EVERY_LINE = 0.25, 5.0
"""Seconds between two updates of a bar, and between two lines where there is no terminal."""
FIGURE_SHARE = 0.02
"""Of the time that may go into figures which need more than the step's loss."""


class FitProgress:
    """Progress that nobody sees."""

    def update(self, step: int, steps: int, loss: Tensor) -> None:
        """Takes in a step."""

    def say(self, line: str) -> None:
        """Tells something that a user should know."""
        tell(line, file=sys.stderr)


class _ShownProgress(FitProgress):
    """A bar on a terminal or in a notebook; lines elsewhere."""

    def __init__(self, target: Target, field: FittedField, bar: Optional[Progress]) -> None:
        self.target, self.field, self.bar = target, field, bar
        self.task = bar.add_task(terminal(field.description.name or "signal"), total=None, figure="") if bar else None
        self.started = time.monotonic()
        self.first: Optional[int] = None
        self.due = 0.0
        self.figure_due, self.figure = 0.0, ""

    def update(self, step: int, steps: int, loss: Tensor) -> None:
        if self.first is None:
            self.first = step - 1
        now = time.monotonic()
        if now < self.due and step < steps:
            return
        self.due = now + (EVERY if self.bar else EVERY_LINE)
        figure = self._figure(loss)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=step, total=steps, figure=figure)
            self.bar.refresh()
            return
        made = step - self.first
        left = (now - self.started) / made * (steps - step)
        print(f"step {step} of {steps}  {figure}  {left:.0f} s left", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        if self.bar is None:
            super().say(line)
        else:
            self.bar.console.print(terminal(line), style="bold yellow", markup=False, highlight=False, soft_wrap=True)

    def _figure(self, loss: Tensor) -> str:
        decibels = batch_psnr(float(loss), float(self.field.description.target.get("gain", 1.0)))
        if self.target.mean_loss is not None:
            return "" if decibels is None else f"PSNR {decibels:.2f} dB"
        started = time.monotonic()
        if started >= self.figure_due:
            figures = self.target.quick_figures(self.field)
            spent = time.monotonic() - started
            self.figure_due = started + max(spent / FIGURE_SHARE, 1.0)
            self.figure = "  ".join(f"{name.upper()} {value:.4f}" for name, value in figures.items())
        return self.figure or f"loss {float(loss):.3g}"


@contextmanager
def shown_progress(target: Target, field: FittedField) -> Iterator[FitProgress]:
    """Shows the progress of what the block fits, on standard error or in the notebook's cell."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    live = console.is_terminal or console.is_jupyter
    if not live or threading.current_thread() is not threading.main_thread():
        yield _ShownProgress(target, field, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figure]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=False) as bar:
        yield _ShownProgress(target, field, bar)
