"""What is analysed: a finished run, or a field that is yet to be trained, with the target that it is for."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Dict, Optional, Union

import torch
from torch import nn

from winner_ns.errors import SignalError
from winner_ns.fields.families import FAMILIES
from winner_ns.fields.initial import initial_field
from winner_ns.fitting.description import SINE_FAMILIES, describe_run, field_settings, noise_report
from winner_ns.fitting.run import load_run
from winner_ns.fitting.settings import SETTINGS
from winner_ns.fitting.target import Target, load_target, target_kind
from winner_ns.signals import KINDS, ReadOptions

SHAPE_SAMPLES = 16384
"""Points that are drawn from a shape for the gradients of its loss."""
MOST_WEIGHTS = 2**28
"""Of the largest field: 1 GiB, and its gradients need as much several times."""
_HELP = "see `winner-ns analyze --help`"


@dataclass(frozen=True)
class Subject:
    """A field in one or two states, and what it is fitted to."""

    description: Dict[str, Any]
    """A run's: kind, name, network, target, signal, spectrum, holdout, order."""
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
        return int(self.description["order"]["batch_size"] or 0)


@dataclass(frozen=True)
class FieldChoice:
    """What a field is made of; what is None follows from the signal."""

    family: str = "winner"
    width: Optional[int] = None
    depth: Optional[int] = None
    omega_0: Optional[float] = None
    first_omega_0: Optional[float] = None
    law: Optional[str] = None
    """None: matching, or explicit where s0 or s1 is given."""
    purpose: Optional[Union[str, float]] = None
    s0: Optional[float] = None
    s1: Optional[float] = None
    seed: int = 42
    """Of the random weights: ns-train's --machine.seed."""


def subject_of_run(path: Path, data: Optional[Path] = None) -> Subject:
    """A run before and after training.

    Args:
        path: as for `load_run`.
        data: where the file that it was trained on is now; None: where it was.

    Raises:
        SignalError: the run cannot be opened, it does not say its seed, or the file is not what it was trained on.
    """
    run = load_run(path)
    if run.kind not in KINDS:
        raise SignalError(path, f"fitted {run.kind}", f"what can be analysed is {', '.join(KINDS)}")
    description = run.description
    order = description.get("order")
    if not order:
        raise SignalError(path, "does not say the seed that its weights were drawn with", "train again")
    if description.get("departures"):
        raise SignalError(path, "is a cell of an ablation whose start no run has", "analyse one without departures")
    if not all(bool(torch.isfinite(p).all()) for p in run.network.parameters()):
        raise SignalError(path, "has diverged: its weights are no numbers", "train again at a lower rate")
    source = Path(data or description["data"])
    read = ReadOptions(**run.signal.get("read_options", {}))
    loss = description["target"].get("loss", "distance")
    target = load_target(source, run.kind, description["holdout"], astuple(read), SHAPE_SAMPLES, order["seed"], loss)
    if json.loads(json.dumps(target.signal.describe())) != run.signal:
        raise SignalError(source, "is not what the run was trained on", "name the file that it was with --data")
    initial = initial_field(description, order["seed"]).eval().requires_grad_(False)
    device = next(run.network.parameters()).device
    return Subject(description, target, {"initial": initial.to(device), "trained": run.network}, run.step, run.folder)


def subject_before_training(
    data: Path, choice: FieldChoice, kind: str = "auto", read: Optional[ReadOptions] = None
) -> Subject:
    """The field that a training with these settings would start with.

    Args:
        data: the file.
        choice: the field.
        kind: image, audio, shape, volume or video, or auto.
        read: which part of a sound is read.

    Raises:
        SignalError: the file cannot be used, or settings that contradict each other or that the family refuses.
    """
    _check(choice)
    read = read or ReadOptions()
    try:
        target = load_target(data, kind, "none", astuple(read), SHAPE_SAMPLES, choice.seed, "distance")
    except SignalError as error:
        if not error.source.startswith("--pipeline"):
            raise
        given = next(each.name for each in fields(read) if getattr(read, each.name) != each.default)
        raise SignalError(f"--{given.replace('_', '-')}", error.problem, error.advice) from error
    omega_0 = 30.0 if choice.omega_0 is None else choice.omega_0
    first_omega_0 = omega_0 if choice.first_omega_0 is None else choice.first_omega_0
    law = choice.law or ("matching" if choice.s0 is None and choice.s1 is None else "explicit")
    try:
        settings = field_settings(
            target, choice.family, choice.width, choice.depth, omega_0=omega_0, first_omega_0=first_omega_0
        )
        _check_size(settings)
        report = noise_report(
            target, settings, choice.family, law=law, purpose=choice.purpose, s0=choice.s0, s1=choice.s1
        )
        order = {"seed": choice.seed, "batch_size": SETTINGS[target_kind(target)].batch_size}
        description = describe_run(target, choice.family, settings, report, "none", order)
    except SignalError as error:
        if not error.source.startswith("--pipeline"):
            raise
        # The others name the training's flags.
        raise SignalError(f"--family {choice.family}", error.problem, _HELP) from error
    return Subject(
        description, target, {"initial": initial_field(description, choice.seed).eval().requires_grad_(False)}
    )


def _check(choice: FieldChoice) -> None:
    """Raises SignalError for settings that the family does not know."""
    if choice.family not in FAMILIES:
        raise SignalError(f"--family {choice.family}", "is none", f"there are {', '.join(FAMILIES)}")
    if not 0 <= choice.seed < 2**32:
        raise SignalError(f"--seed {choice.seed}", "is not between 0 and 2^32 - 1", "choose another")
    noise = {"law": choice.law, "purpose": choice.purpose, "s0": choice.s0, "s1": choice.s1}
    sine = {"omega-0": choice.omega_0, "first-omega-0": choice.first_omega_0}
    for flags, families in ((noise, ("winner",)), (sine, SINE_FAMILIES)):
        given = [name for name, value in flags.items() if value is not None]
        if given and choice.family not in families:
            raise SignalError(f"--{given[0]}", f"is not for the family {choice.family}", "leave it out")


def _check_size(settings: Dict[str, Any]) -> None:
    """Raises SignalError for a network that is too large to look at."""
    width, depth = settings.get("width", 1), settings.get("depth", 1)
    if width * ((depth - 1) * width + 1) > MOST_WEIGHTS:
        raise SignalError(
            f"--width {width} --depth {depth}",
            f"is a field of more than {MOST_WEIGHTS:,} weights",
            "choose a smaller field",
        )
