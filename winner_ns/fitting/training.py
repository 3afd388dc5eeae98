"""The training loop: mini-batches by Adam with a falling rate. What ns-train does to a signal, without nerfstudio."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor, nn

from winner_ns.fields import mean_squared_error
from winner_ns.fields.eikonal import eikonal_loss
from winner_ns.fitting.adam import BETA2, Adam
from winner_ns.fitting.best_state import BestState
from winner_ns.fitting.processes import ALONE, Processes
from winner_ns.shape_losses import SHAPE_LOSSES

Batch = Tuple[Tensor, Tensor]
"""Coordinates [n, d] and target values [n, c]."""
SCHEDULES = ("cosine", "step", "constant")


def training_loss(field: nn.Module, batch: Batch, loss: str) -> Tuple[str, Tensor]:
    """The name and the value of the loss of a batch.

    Args:
        field: what is trained.
        batch: on the field's device.
        loss: a description's; the mean squared error where that has none, and of shapes but by those of slopes.
    """
    if loss in SHAPE_LOSSES and SHAPE_LOSSES[loss].by_slopes:
        return loss, eikonal_loss(field, *batch)
    return "mean_squared_error", mean_squared_error(field, *batch)


def rate_factor(schedule: str, step: int, steps: int, decay: float = 0.99, decay_steps: int = 20) -> float:
    """The learning rate over that at the start.

    Args:
        schedule: cosine, to zero at the last step; step, times `decay` every `decay_steps`; or constant.
        step: from 0 on.
        steps: of the whole run.
        decay, decay_steps: of the schedule step.
    """
    if schedule == "cosine":
        return 0.5 * (1.0 + float(np.cos(np.pi * min(step / max(steps, 1), 1.0))))
    return decay ** (step // decay_steps) if schedule == "step" else 1.0


class Training:
    """One field on its way: `advance` makes a step, and the state may be kept and taken up again.

    Args:
        field: what is trained, on its device.
        batch: gives a step's samples, on any device.
        steps: of the whole run.
        learning_rate: Adam's at the start.
        schedule: one of SCHEDULES.
        loss: as for `training_loss`.
        beta2: Adam's decay of the squared gradients' average.
        weight_decay: Adam's decay of the weights.
        best: keeps the best state, which is the field's after the last step; None: the last state is.
        processes: those that make its steps together; `batch` gives this one's part.
    """

    def __init__(
        self,
        field: nn.Module,
        batch: Callable[[int], Batch],
        steps: int,
        learning_rate: float,
        schedule: str = "cosine",
        loss: str = "",
        beta2: float = BETA2,
        weight_decay: float = 0.0,
        best: Optional[BestState] = None,
        processes: Processes = ALONE,
    ) -> None:
        self.field, self.batch, self.steps = field, batch, steps
        self.learning_rate, self.schedule, self.loss = learning_rate, schedule, loss
        self.adam = Adam(field.parameters(), beta2, weight_decay)
        self.best, self.processes = best, processes
        self.step = 0
        """Steps that have been made."""
        self.interrupted = False
        """Whether a user has ended it before its last step."""
        self.seconds = 0.0
        """That its steps have taken, those of programs that have ended included, where somebody counts."""
        self.device = next(field.parameters()).device

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.learning_rate * rate_factor(self.schedule, self.step, self.steps)

    def advance(self) -> Tensor:
        """Makes one step; returns its loss, on the field's device.

        Raises:
            ProcessLost: another process is gone; the step is not made.
        """
        rate = self.rate
        x, y = self.batch(self.step)
        self.adam.zero_grad()
        _, loss = training_loss(self.field, (on_device(x, self.device), on_device(y, self.device)), self.loss)
        loss = self.processes.mean(loss, len(x))
        loss.backward()
        self.processes.sum_gradients(self.adam.parameters)
        self.adam.step(rate)
        self.step += 1
        if self.best is not None:
            self.best.see(self.step, self.field)
        return loss.detach()

    def state_dict(self) -> Dict[str, Any]:
        """Steps made, the seconds they took, weights and the optimiser's state."""
        optimizer = self.adam.state_dict(self.rate, self.learning_rate)
        best = {} if self.best is None else {"best": self.best.state_dict()}
        state = {"step": self.step, "field": self.field.state_dict(), "optimizer": optimizer, "seconds": self.seconds}
        return {**state, **best}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self.field.load_state_dict(state["field"])
        self.adam.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state.get("seconds", 0.0)
        if self.best is not None and "best" in state:
            self.best.load_state_dict(state["best"])


def batch_psnr(loss: float, gain: float) -> Optional[float]:
    """PSNR in dB (range 2) that a mean squared error on the trained scale stands for; None where it is no number."""
    error = loss / gain**2
    return 10.0 * math.log10(4.0 / error) if 0 < error < math.inf else None


class LossCurve:
    """The loss of some steps of a training, evenly spread; no step waits for a GPU.

    Args:
        steps: of the whole run.
        points: at most so many.
        known: losses by step that a program has seen which began the training.
    """

    def __init__(self, steps: int, points: int = 200, known: Optional[Mapping[int, float]] = None) -> None:
        self._every = max(1, -(-steps // points))
        self._losses: Dict[int, Union[Tensor, float]] = dict(known or {})

    def see(self, step: int, loss: Tensor) -> None:
        """Takes in the loss of the step-th step, from 1 on."""
        if step % self._every == 0 or step == 1:
            self._losses[step] = loss

    def losses(self) -> Dict[int, float]:
        """All that there are, by step."""
        return {step: float(loss) for step, loss in sorted(self._losses.items())}

    def as_dict(self, gain: Optional[float] = None) -> Dict[str, List[Any]]:
        """Lists step and loss, and, of values that were scaled by `gain`, psnr in dB; None for what is no number."""
        losses = self.losses()
        curve: Dict[str, List[Any]] = {
            "step": list(losses),
            "loss": [loss if math.isfinite(loss) else None for loss in losses.values()],
        }
        return curve if gain is None else {**curve, "psnr": [batch_psnr(loss, gain) for loss in losses.values()]}


def on_device(samples: Tensor, device: Union[str, torch.device]) -> Tensor:
    """Samples where they are computed with. A GPU takes them from memory that stays in its place, so that the program
    need not wait until they are there."""
    if torch.device(device).type != "cuda" or samples.is_cuda:
        return samples.to(device)
    return samples.pin_memory().to(device, non_blocking=True)


def synchronise(device: torch.device) -> None:
    """Waits for a GPU, so that a clock tells how long it took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
