"""A run's folder as nerfstudio's commands know it: config.yml and checkpoints; written and gone on with here."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Optional

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description
from winner_ns.fitting.adam import betas_of, weight_decay_of
from winner_ns.fitting.checkpoints import CHECKPOINTS, UNFINISHED, SaveClock, read_checkpoint, write_checkpoint
from winner_ns.fitting.plan import FieldPlan, NetworkPlan, SettledPlan
from winner_ns.fitting.results_folder import results_complete
from winner_ns.fitting.run import check_original, check_there, find_checkpoint, original_path
from winner_ns.fitting.target import Target, TargetOptions, target_of
from winner_ns.fitting.training import LossCurve, Training
from winner_ns.safe_text import file_name
from winner_ns.signals import ReadOptions
from winner_ns.writing import replacing, unwritable

METHOD = "winner-siren"
CONFIG = "config.yml"


class RunFolder:
    """A folder with a run's config.yml and checkpoints.

    Args:
        folder: of the run.
        settled: what is trained in it.
        steps: of the whole run.
        schedule: of the learning rate.
        curve: of the losses; None: nobody asks for it.
    """

    def __init__(
        self, folder: Path, settled: SettledPlan, steps: int, schedule: str, curve: Optional[LossCurve] = None
    ) -> None:
        self.folder, self.settled, self.steps, self.schedule = folder, settled, steps, schedule
        self._curve = curve
        self._clock = SaveClock()
        self._training: Optional[Training] = None
        self._saved = 0

    def write_config(self) -> None:
        """Writes the config.yml that nerfstudio's commands load; what it leaves open is filled in then. One that
        another program has written stays as it is."""
        path = self.folder / CONFIG
        if path.exists() and _settings_of(path) is None:
            return
        plain = {
            "steps": self.steps,
            "schedule": self.schedule,
            "learning_rate": self.settled.learning_rate,
            "beta2": self.settled.beta2,
            "weight_decay": self.settled.weight_decay,
            "run_folder": str(self.folder.resolve()),
            "experiment_name": file_name(Path(self.settled.description.name).stem),
            "description": self.settled.description.as_dict(),
        }
        # As text within JSON: YAML reads some of JSON's numbers and characters as others.
        text = json.dumps(json.dumps(plain, allow_nan=False))
        with replacing(path) as temporary:
            temporary.write_text(f"{_BEGINS}{text}\n", encoding="ascii")

    def keep(self, training: Training) -> None:
        """Is told of each step; writes a checkpoint if it is time to."""
        self._training = training
        if self._clock.is_due:
            started = time.monotonic()
            self.save()
            self._clock.written(started)

    def save(self) -> None:
        """Writes a checkpoint of the last step that it was told of, unless there is one."""
        if self._training is not None and self._training.step != self._saved:
            self.write_checkpoint(self._training)
            self._saved = self._training.step

    def write_checkpoint(self, training: Training) -> Path:
        """Writes the training's state as nerfstudio does; of earlier ones one is kept (`checkpoints.BEFORE`)."""
        state = training.state_dict()
        step = training.step - 1  # nerfstudio names the last one that was made.
        model: Dict[str, Any] = {f"_model.field.{name}": value for name, value in state["field"].items()}
        description = json.dumps(self.settled.description.as_dict())
        best = {"best": state["best"]} if "best" in state else {}
        scheduler = {
            "base_lrs": [training.learning_rate],
            "last_epoch": training.step,
            "_step_count": training.step + 1,
            "_last_lr": [training.rate],
            "lr_lambdas": [None],
        }
        checkpoint = {
            "step": step,
            "pipeline": {**model, "_model._extra_state": {"description": description, **best}},
            "optimizers": {"field": state["optimizer"]},
            "schedulers": {"field": scheduler},
            "scalers": {},
            "training_seconds": training.seconds,
            "losses": {} if self._curve is None else self._curve.losses(),
        }
        return write_checkpoint(self.folder / CHECKPOINTS, step, checkpoint)


def unbegun(folder: Path) -> bool:
    """Whether there is nothing in a folder, or no more than what a run leaves that was killed before its first
    checkpoint."""
    left = [path for path in folder.iterdir() if not (path.name == UNFINISHED or path.name.startswith(".config."))]
    known = all(
        not any(path.iterdir()) if path.is_dir() else path.name == CONFIG and _settings_of(path) is not None
        for path in left
    )
    return known and all(path.name == CHECKPOINTS for path in left if path.is_dir())


def forget_run(folder: Path) -> None:
    """Takes away from a folder what would be taken for the state of another run in it: what a run that overwrites it
    begins with.

    Raises:
        SignalError: it cannot be.
    """
    try:
        for path in (folder / CONFIG, *folder.glob("*/step-*.ckpt"), folder / "results" / "figures.json"):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


@dataclass(frozen=True)
class UnfinishedRun:
    """A run to go on with."""

    folder: Path
    settled: SettledPlan
    state: Dict[str, Any]
    """For `Training.load_state_dict`."""
    steps: int
    schedule: str
    losses: Dict[int, float]
    """Of some of the steps that have been made, by step."""


def open_run(path: Path, steps: Optional[int] = None, data: Optional[Path] = None) -> UnfinishedRun:
    """Opens a run of `winner-ns fit` or `ns-train winner-siren` to go on with.

    Args:
        path: its folder, config.yml or a checkpoint.
        steps: of the whole run, those before included; None: as many as it was begun with.
        data: what it is trained on; None: where it was when it was begun.

    Raises:
        SignalError: there is no such run, it is complete, or its data is not what it was trained on any more.
    """
    checkpoint = find_checkpoint(path)
    folder = checkpoint.parent.parent
    saved = read_checkpoint(checkpoint, mapped=False)
    try:
        described = json.loads(saved["pipeline"]["_model._extra_state"]["description"])
        optimizer = saved["optimizers"]["field"]
        weights = {
            name.removeprefix("_model.field."): value
            for name, value in saved["pipeline"].items()
            if name.startswith("_model.field.")
        }
        seconds = float(saved.get("training_seconds", 0.0))
        losses = {int(step): float(loss) for step, loss in saved.get("losses", {}).items()}
        state = {"step": saved["step"] + 1, "field": weights, "optimizer": optimizer, "seconds": seconds}
        state |= {"best": best} if (best := saved["pipeline"]["_model._extra_state"].get("best")) else {}
        first_rate = float(optimizer["param_groups"][0]["initial_lr"])
        _, beta2 = betas_of(optimizer)
        decay = weight_decay_of(optimizer)
        if decay and not optimizer["param_groups"][0].get("decoupled_weight_decay", True):
            raise ValueError("its gradients had the weights added")
        description = Description.from_dict(described)
        if description.row.reader is None or description.order is None:
            raise ValueError("it is of another kind")
    except Exception as error:  # Any type: torch's, pickle's and whatever else a damaged file leads to.
        raise SignalError(
            checkpoint, "is damaged, or of no run that can be gone on with here", "go on with `ns-train --load-dir`"
        ) from error
    known = _settings_of(folder / CONFIG) or _settings_of_ns_train(folder / CONFIG)
    schedule = known["schedule"]
    whole = steps or known["steps"]
    if state["step"] > whole or (state["step"] == whole and results_complete(folder, whole)):
        raise SignalError(
            checkpoint,
            f"has been trained for {state['step']} steps, the whole run of {whole}",
            "give a larger --steps to go on",
        )
    target = _target_of(description, known.get("shape_samples"), data)
    plan = _plan_of(description, first_rate, beta2, decay)
    settled = plan.settle(target, description.order.batch_size)
    now = json.loads(json.dumps(settled.description.as_dict()["network"]))
    # A setting that is new since keeps its default.
    if {**now, **described["network"], "settings": {**now["settings"], **described["network"]["settings"]}} != now:
        raise SignalError(checkpoint, "is of another version's field", "go on with the version that began it")
    if data is not None:
        description = replace(description, data=str(data.resolve()))
    # The noise is told as it was chosen, not as the scales that came of it.
    network = replace(settled.settled, noise=description.spectrum)
    return UnfinishedRun(folder, SettledPlan(description, network, target), state, whole, schedule, losses)


def _target_of(description: Description, shape_samples: Optional[int], data: Optional[Path]) -> Target:
    read = ReadOptions(**description.signal.get("read_options", {}))
    options = TargetOptions.of_run(description, shape_samples)
    if not description.data and data is None:
        raise SignalError(description.name, "was fitted to an array, which is gone", "fit it again")
    source, advice = data or original_path(description), "give its place: winner-ns fit FILE --resume RUN"
    check_there(source, advice)
    target = target_of(source, description.kind, options, read)
    check_original(target.signal, description.signal, advice)
    return target


def _plan_of(description: Description, learning_rate: float, beta2: float, weight_decay: float) -> FieldPlan:
    """A plan that settles into the description's network and noise again."""
    network, noise = description.network, description.spectrum
    made_of = NetworkPlan(network.family, options=dict(network.settings))
    plan = FieldPlan(made_of, learning_rate=learning_rate, beta2=beta2, weight_decay=weight_decay)
    if noise is not None and (network.family_class.takes_noise or noise.s0 > 0 or noise.s1 > 0):
        plan.law, plan.s0, plan.s1 = "explicit", noise.s0, noise.s1
    return plan


_BEGINS = f"!!python/object:winner_ns.plugin.trainer.SignalTrainerConfig\nmethod_name: {METHOD}\nfit: "


def _settings_of(config: Path) -> Optional[Dict[str, Any]]:
    """Steps, schedule and whatever else `RunFolder` has written; None for another program's config.yml."""
    try:
        text = config.read_text(encoding="ascii")
        return json.loads(json.loads(text.removeprefix(_BEGINS))) if text.startswith(_BEGINS) else None
    except (OSError, ValueError):
        return None


_AS_HERE = {
    "schedule": "cosine",
    "max_norm": "null",
    "eps": "1.0e-08",
}
"""What ns-train's optimiser of a field must be for a run to go on here."""


def _settings_of_ns_train(config: Path) -> Dict[str, Any]:
    """Steps and schedule that ns-train's config.yml says; read as text, as loading it would execute what it holds.

    Raises:
        SignalError: there is none, or it says something that is not done here.
    """
    go_on = "go on with `ns-train winner-siren --load-dir`"
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SignalError(config, "cannot be read, and says how long the run was to be", go_on) from error
    steps = re.search(r"^max_num_iterations: (\d+)$", text, re.MULTILINE)
    # The field's own group, indented by two.
    group = re.search(r"^  field:\n((?:    .*\n)+)", text, re.MULTILINE)
    if steps is None or group is None or not text.startswith("!!python/object:winner_ns."):
        raise SignalError(config, "is no config of winner-siren", go_on)
    for name, wanted in _AS_HERE.items():
        found = re.search(rf"^ +{name}: (.*)$", group[1], re.MULTILINE)
        if found is not None and found[1] != wanted:
            raise SignalError(config, f"its optimiser has {name} {found[1]}", go_on)
    length = re.search(r"^ +max_steps: (.*)$", group[1], re.MULTILINE)
    if length is not None and length[1] not in ("null", steps[1]):
        raise SignalError(config, f"its learning rate falls over {length[1]} steps", go_on)
    accumulated = re.search(r"^gradient_accumulation_steps: (.*)$", text, re.MULTILINE)
    if accumulated is not None and accumulated[1] != "{}":
        raise SignalError(config, "it accumulates gradients", go_on)
    samples = re.search(r"^ +shape_samples: (\d+)$", text, re.MULTILINE)
    return {"steps": int(steps[1]), "schedule": "cosine", "shape_samples": int(samples[1]) if samples else None}
