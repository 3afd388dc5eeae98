"""What is analysed: a finished run, or a field that is yet to be trained, with the target that it is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from torch import nn

from winner_ns.errors import SignalError, setting_error
from winner_ns.fields.description import Description
from winner_ns.fields.initial import initial_field
from winner_ns.fitting.finished_fields import target_as_trained
from winner_ns.fitting.plan import FieldPlan, checked_seed
from winner_ns.fitting.run import check_original, check_there, load_run, original_path
from winner_ns.fitting.target import Target, TargetOptions, target_of
from winner_ns.kinds import KINDS, Kind
from winner_ns.signals import ReadOptions, signal_of

SHAPE_SAMPLES = 16384
"""Points that are drawn from a shape for the gradients of its loss."""
MOST_WEIGHTS = 2**28
"""Of the largest field: 1 GiB, and its gradients need as much several times."""


@dataclass(frozen=True)
class Subject:
    """A field in one or two states, and what it is fitted to."""

    description: Description
    """A run's, or of the run that a training would be."""
    target: Target
    states: Dict[str, nn.Module]
    """"initial", the weights before training, and of a run "trained"; on one device, not to be trained."""
    step: Optional[int] = None
    """The last training step that the trained state has seen, counted from 0, where that is known."""
    folder: Optional[Path] = None
    """The run's, or that of its field file."""

    @property
    def batch_size(self) -> int:
        """Samples of a training step, 0 being all."""
        return 0 if self.description.order is None else self.description.order.batch_size


def subject_of_run(path: Path, data: Any = None) -> Subject:
    """A run before and after training.

    Args:
        path: as for `load_run`.
        data: what it was trained on, as for `signal_of`; None: the file, where it was.

    Raises:
        SignalError: the run cannot be opened, it does not say its seed, or the data is not what it was trained on.
    """
    run = load_run(path)
    description, order = run.description, run.description.order
    if order is None:
        raise SignalError(path, "does not say the seed that its weights were drawn with", "train again")
    if description.further.get("departures"):
        raise SignalError(path, "is a cell of an ablation whose start no run has", "analyse one without departures")
    if not all(bool(torch.isfinite(p).all()) for p in run.network.parameters()):
        raise SignalError(path, "has diverged: its weights are no numbers", "train again at a lower rate")
    if data is None and not description.data:
        raise SignalError(path, "was trained on data that was no file", "name what it was trained on with --data")
    source = original_path(description) if data is None else data
    if data is None:
        check_there(source, "give its place with --data")
    signal = signal_of(source, run.kind, ReadOptions(**run.signal.get("read_options", {})))
    check_original(signal, run.signal, "name the file that it was with --data")
    target = target_as_trained(description, signal, SHAPE_SAMPLES)
    initial = initial_field(description, order.seed).eval().requires_grad_(False)
    device = next(run.network.parameters()).device
    return Subject(description, target, {"initial": initial.to(device), "trained": run.network}, run.step, run.folder)


def subject_before_training(
    data: Any, plan: FieldPlan, kind: str = "auto", read: Optional[ReadOptions] = None, seed: int = 42
) -> Subject:
    """The field that a training with these settings would start with.

    Args:
        data: as for `signal_of`: a file's path, an array, …
        plan: the field.
        kind: a name of `KINDS`, or auto.
        read: which part of a sound is read.
        seed: of the random weights: ns-train's --machine.seed.

    Raises:
        SignalError: the data cannot be used, or settings that contradict each other or that the family refuses.
    """
    plan.check()
    checked_seed(seed)
    signal = signal_of(data, kind, read)
    row = KINDS[signal.kind]
    _check_size(plan, row)
    takes_points = "shape_samples" in row.get("target").takes
    points = {"shape_samples": SHAPE_SAMPLES} if takes_points else {}
    settled = plan.settle(target_of(signal, options=TargetOptions(seed=seed, **points)))
    initial = settled.initial_field().eval().requires_grad_(False)
    return Subject(settled.description, settled.target, {"initial": initial})


def _check_size(plan: FieldPlan, row: Kind) -> None:
    """Raises SignalError for a network that is too large to look at."""
    chosen = plan.field
    width, depth = chosen.width or row.training.width, chosen.depth or row.training.depth
    if width * ((depth - 1) * width + 1) > MOST_WEIGHTS:
        problem = f"{depth} layers of {width} neurons have more than {MOST_WEIGHTS:,} weights"
        raise setting_error("depth" if chosen.width is None else "width", problem, "choose a smaller field")
