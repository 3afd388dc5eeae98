"""What a user sees of a training while it runs: step, time left, loss, figures, learning rate."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, Iterator, Mapping, Optional

from torch import Tensor

from winner_ns.figures.words import figures_in_a_line
from winner_ns.safe_text import tell, terminal
from winner_ns.working_time import working_time

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

EVERY, EVERY_LINE = 0.25, 5.0
"""Seconds between two updates of a bar, and between two lines where there is no terminal."""
FIGURE_SHARE = 0.01
"""Of the working time that may go into figures, which need more than the step's loss."""

Figures = Callable[[], Mapping[str, Mapping[str, float]]]
"""Gives estimates of the figures that count of each field that is trained, by the field's name."""


class TrainingProgress:
    """Progress that nobody sees."""

    def update(self, step: int, steps: int, loss: Tensor, rate: float) -> None:
        """Takes in a step.

        Args:
            step: steps that have been made.
            steps: of the whole run.
            loss: of the step's batch; read only where it is shown, as reading it makes a GPU wait.
            rate: the learning rate.
        """

    def say(self, line: str) -> None:
        """Tells something that a user should know, whether progress is shown or not."""
        tell(line, file=sys.stderr)


class _ShownProgress(TrainingProgress):
    """A bar on a terminal or in a notebook; lines elsewhere."""

    def __init__(self, figures: Figures, console: Console, bar: Optional[Progress]) -> None:
        self.figures, self.console, self.bar = figures, console, bar
        self.task = bar.add_task("", total=None, figure="") if bar else None
        self.started = time.monotonic()
        self.first: Optional[int] = None
        self.due = 0.0
        self.figure_due, self.figure = 0.0, ""

    def update(self, step: int, steps: int, loss: Tensor, rate: float) -> None:
        if self.first is None:
            self.first = step - 1
        now = time.monotonic()
        if now < self.due and step < steps:
            return
        self.due = now + (EVERY if self.bar else EVERY_LINE)
        told = f"loss {float(loss):.3g}  {self._figure(step == steps)}  rate {rate:.2g}"
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=step, total=steps, figure=told)
            self.bar.refresh()
            return
        made = step - self.first
        left = (now - self.started) / made * (steps - step)
        self._print(f"step {step} of {steps}  {left:.0f} s left  {told}")

    def say(self, line: str) -> None:
        self._print(terminal(line), style="bold yellow")

    def _print(self, line: str, style: str = "") -> None:
        self.console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def _figure(self, last: bool) -> str:
        if last or working_time() >= self.figure_due:
            started = time.thread_time()
            each = {name: figures_in_a_line(figures) for name, figures in self.figures().items()}
            spent = time.thread_time() - started
            self.figure_due = working_time() + max(spent / FIGURE_SHARE, 1.0)
            self.figure = "  ".join(
                f"{terminal(name)} {line}" if len(each) > 1 else line for name, line in each.items()
            )
        return self.figure


@contextmanager
def shown_progress(figures: Figures, to_errors: bool = True) -> Iterator[TrainingProgress]:
    """Shows the progress of what the block trains, or in a notebook's cell.

    Args:
        figures: asked at times.
        to_errors: whether it goes to standard error; else to standard output.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console(stderr=to_errors)
    live = console.is_terminal or console.is_jupyter
    if not live or threading.current_thread() is not threading.main_thread():
        yield _ShownProgress(figures, console, None)
        return
    # A narrow terminal cuts the last one, and nothing else.
    rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        BarColumn(bar_width=8, table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[figure]}", markup=False, table_column=rest),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=False, expand=True) as bar:
        yield _ShownProgress(figures, console, bar)
