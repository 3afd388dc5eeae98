"""A run's folder as nerfstudio's commands know it: config.yml and checkpoints; written and gone on with here."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Optional

import torch

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description
from winner_ns.fitting.plan import FieldPlan, NetworkPlan, SettledPlan
from winner_ns.fitting.run import find_checkpoint
from winner_ns.fitting.target import Target, TargetOptions, target_of
from winner_ns.fitting.training import SCHEDULES, Training
from winner_ns.signals import ReadOptions
from winner_ns.writing import replacing

METHOD = "winner-siren"
CHECKPOINTS = "nerfstudio_models"
CONFIG = "config.yml"
BETWEEN = 60.0
"""Seconds between two checkpoints."""
SHARE = 0.02
"""Of the time that writing checkpoints may take."""


class RunFolder:
    """A folder with a run's config.yml and checkpoints.

    Args:
        folder: of the run.
        settled: what is trained in it.
        steps: of the whole run.
        schedule: of the learning rate.
    """

    def __init__(self, folder: Path, settled: SettledPlan, steps: int, schedule: str) -> None:
        self.folder, self.settled, self.steps, self.schedule = folder, settled, steps, schedule
        self._due = time.monotonic() + BETWEEN

    def write_config(self) -> None:
        """Writes the config.yml that nerfstudio's commands load; what it leaves open is filled in then."""
        description = self.settled.description
        lines = [
            "!!python/object:winner_ns.plugin.trainer.SignalTrainerConfig",
            f"method_name: {METHOD}",
            f"experiment_name: {_quoted(Path(description.name).stem)}",
            f"run_folder: {_quoted(str(self.folder.resolve()))}",
            f"max_num_iterations: {self.steps}",
            f"schedule: {self.schedule}",
            f"learning_rate: {self.settled.learning_rate!r}",
            # JSON is YAML.
            f"description: {json.dumps(description.as_dict(), allow_nan=False)}",
        ]
        with replacing(self.folder / CONFIG) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def keep(self, training: Training) -> None:
        """Writes a checkpoint if it is time to."""
        started = time.monotonic()
        if started >= self._due:
            self.write_checkpoint(training)
            now = time.monotonic()
            self._due = now + max(BETWEEN, (now - started) / SHARE)

    def write_checkpoint(self, training: Training) -> Path:
        """Writes the training's state as nerfstudio does, in place of earlier ones."""
        state = training.state_dict()
        step = training.step - 1  # nerfstudio names the last one that was made.
        model: Dict[str, Any] = {f"_model.field.{name}": value for name, value in state["field"].items()}
        description = json.dumps(self.settled.description.as_dict())
        scheduler = {
            "base_lrs": [training.learning_rate],
            "last_epoch": training.step,
            "_step_count": training.step + 1,
            "_last_lr": [training.rate],
            "lr_lambdas": [None],
        }
        checkpoint = {
            "step": step,
            "pipeline": {**model, "_model._extra_state": {"description": description}},
            "optimizers": {"field": state["optimizer"]},
            "schedulers": {"field": scheduler},
            "scalers": {},
        }
        path = self.folder / CHECKPOINTS / f"step-{step:09d}.ckpt"
        with replacing(path) as temporary:
            torch.save(checkpoint, temporary)
        for other in path.parent.glob("step-*.ckpt"):
            if other != path:
                other.unlink()
        return path


@dataclass(frozen=True)
class UnfinishedRun:
    """A run to go on with."""

    folder: Path
    settled: SettledPlan
    state: Dict[str, Any]
    """For `Training.load_state_dict`."""
    steps: int
    schedule: str


def open_run(path: Path, steps: Optional[int] = None) -> UnfinishedRun:
    """Opens a run of `winner-ns fit` or `ns-train winner-siren` to go on with.

    Args:
        path: its folder, config.yml or a checkpoint.
        steps: of the whole run, those before included; None: as many as it was begun with.

    Raises:
        SignalError: there is no such run, it is complete, or its data is not what it was trained on any more.
    """
    checkpoint = find_checkpoint(path)
    folder = checkpoint.parent.parent
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        described = json.loads(saved["pipeline"]["_model._extra_state"]["description"])
        optimizer = saved["optimizers"]["field"]
        weights = {
            name.removeprefix("_model.field."): value
            for name, value in saved["pipeline"].items()
            if name.startswith("_model.field.")
        }
        state = {"step": saved["step"] + 1, "field": weights, "optimizer": optimizer}
        first_rate = float(optimizer["param_groups"][0]["initial_lr"])
        description = Description.from_dict(described)
        if description.row.reader is None or description.order is None:
            raise ValueError("it is of another kind")
    except Exception as error:  # Any type: torch's, pickle's and whatever else a damaged file leads to.
        raise SignalError(
            checkpoint, "is damaged, or of no run that can be gone on with here", "go on with `ns-train --load-dir`"
        ) from error
    whole, schedule = _settings_of(folder / CONFIG)
    whole = steps or whole
    if whole is None or schedule not in SCHEDULES:
        raise SignalError(folder / CONFIG, "does not say how long the run was to be", "give --steps")
    if state["step"] >= whole:
        raise SignalError(
            checkpoint,
            f"has been trained for {state['step']} steps, the whole run of {whole}",
            "give a larger --steps to go on",
        )
    target = _target_of(description)
    plan = _plan_of(description, first_rate)
    settled = plan.settle(target, description.order.batch_size)
    if json.loads(json.dumps(settled.description.as_dict()["network"])) != described["network"]:
        raise SignalError(checkpoint, "is of another version's field", "go on with the version that began it")
    # The noise is told as it was chosen, not as the scales that came of it.
    network = replace(settled.settled, noise=description.spectrum)
    return UnfinishedRun(folder, SettledPlan(description, network, target), state, whole, schedule)


def _target_of(description: Description) -> Target:
    assert description.order is not None
    read = ReadOptions(**description.signal.get("read_options", {}))
    options = TargetOptions(
        holdout=description.holdout,
        shape_loss=str(description.target.get("loss", TargetOptions.shape_loss)),
        seed=description.order.seed,
    )
    if not description.data:
        raise SignalError(description.name, "was fitted to an array, which is gone", "fit it again")
    target = target_of(description.data, description.kind, options, read)
    if json.loads(json.dumps(target.signal.describe())) != description.signal:
        raise SignalError(description.data, "is not what the run was trained on any more", "put that back")
    return target


def _plan_of(description: Description, learning_rate: float) -> FieldPlan:
    """A plan that settles into the description's network and noise again."""
    network, noise = description.network, description.spectrum
    plan = FieldPlan(NetworkPlan(network.family, options=dict(network.settings)), learning_rate=learning_rate)
    if noise is not None and network.family_class.takes_noise:
        plan.law, plan.s0, plan.s1 = "explicit", noise.s0, noise.s1
    return plan


def _settings_of(config: Path) -> "tuple[Optional[int], str]":
    """Steps and schedule that a config.yml names; read as text, as loading it would execute what it says."""
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None, "cosine"
    steps = re.search(r"^max_num_iterations: (\d+)$", text, re.MULTILINE)
    schedule = re.search(r"^ *schedule: (\w+)$", text, re.MULTILINE)
    return (int(steps[1]) if steps else None), (schedule[1] if schedule else "cosine")


def _quoted(text: str) -> str:
    """Text as a YAML scalar."""
    return json.dumps(text, ensure_ascii=False)
