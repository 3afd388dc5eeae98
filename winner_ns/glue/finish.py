"""Writing down what a finished training is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Mapping, Sequence

from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from rich.markup import escape

from winner_ns.export.results import closing_lines
from winner_ns.safe_text import terminal


def print_written(paths: List[Path]) -> None:
    """Says where the results are."""
    for path in paths:
        CONSOLE.print(f"[bold green]wrote[/bold green] {escape(terminal(path))}", soft_wrap=True)


def print_finished(steps: int, seconds: float, figures: Mapping[str, float], commands: Sequence[str]) -> None:
    """Says that a training is over (`closing_lines`)."""
    for line in closing_lines(steps, seconds, figures, commands):
        CONSOLE.print(terminal(line), markup=False, highlight=False, soft_wrap=True)


def results_callbacks(
    attributes: TrainingCallbackAttributes, finish: Callable[[Path, int, float], None]
) -> List[TrainingCallback]:
    """What calls `finish` with the run's folder, the last step and the seconds of training (those in earlier programs
    included, as the trainer knows them) when training ends, in the first of several processes, with the pipeline in
    evaluation mode; nothing outside of a training."""
    trainer = attributes.trainer
    if trainer is None or not comms.is_main_process():
        return []

    def at_the_end(step: int) -> None:
        # A picture that the viewer is drawing would switch back to training when it is done. What it draws later leaves
        # the mode as it is.
        with trainer.train_lock:
            trainer.pipeline.eval()
        finish(trainer.base_dir, step, trainer.training_seconds)  # type: ignore[attr-defined]

    return [TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN], at_the_end)]
