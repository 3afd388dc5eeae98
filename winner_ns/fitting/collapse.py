"""Noticing, while it trains, that a field has learnt nothing but the mean of its samples."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from winner_ns.fields import family_class
from winner_ns.fitting.target import Target

LOSS = "mean_squared_error"
LEAST_STEPS = 100
"""Steps before which nothing is said: bright targets start slowly, and Adam's averages take as long."""
PART = 0.25
"""Of the run, before which nothing is said."""
PLATEAU = 0.8
"""Loss over the target's variance above which a field knows little more than the mean."""
FALL = 0.02
"""Of the variance: a loss that has fallen by more in the second half of its steps is on its way."""
MEMORY = 25
"""Steps that the loss is averaged over."""


class CollapseWatch:
    """Looks at the training loss of one or several fields, and tells once of each that it has collapsed.

    Args:
        variance: of the target's values as they are trained on, the loss of a field that gives their mean.
        steps: of the whole run.
    """

    def __init__(self, variance: float, steps: int) -> None:
        self._variance = variance
        self._first = max(LEAST_STEPS, int(PART * steps))
        self._every = max(10, steps // 100)
        self._start: Optional[int] = None
        self._average: Dict[str, Tensor] = {}
        self._history: Dict[str, List[Tuple[int, float]]] = {}
        self._told: List[str] = []

    def see(self, step: int, losses: Mapping[str, Tensor]) -> List[str]:
        """Takes in a step's losses by name ("mean_squared_error", "name/mean_squared_error"; others don't count).

        Returns:
            The fields ("" for a single one) that are now found to have collapsed: the loss, averaged over steps, is
            near the variance and not falling. Each is named once.
        """
        if self._start is None:
            self._start = step
        seen = step - self._start + 1
        collapsed = []
        for key, loss in losses.items():
            name, _, kind = key.rpartition("/")
            if kind != LOSS or name in self._told:
                continue
            # A single bad batch counts no more than a batch on the plateau.
            ratio = (loss.detach() / self._variance).clamp(max=1.0)
            self._average[name] = torch.lerp(self._average.get(name, ratio), ratio, 1.0 / MEMORY)
            # Reading the number makes a GPU wait: not at every step.
            if seen % self._every == 0 and self._on_plateau(name, seen, step):
                self._told.append(name)
                collapsed.append(name)
        return collapsed

    def _on_plateau(self, name: str, seen: int, step: int) -> bool:
        now = float(self._average[name])
        history = self._history.setdefault(name, [])
        history.append((seen, now))
        if seen < LEAST_STEPS or step + 1 < self._first:
            return False
        earlier = [value for at, value in history if at <= seen // 2]
        return bool(earlier) and now > PLATEAU and earlier[-1] - now < FALL


def collapse_watch(target: Optional[Target], steps: int) -> Optional[CollapseWatch]:
    """The watch for a target; None for those, such as shapes, whose samples have no mean that a field could fall back
    to."""
    return None if target is None or target.mean_loss is None else CollapseWatch(target.mean_loss, steps)


def collapse_line(name: str, family: str, steps: int, rate: str = "the learning rate") -> str:
    """What a user is told of a field that has collapsed.

    Args:
        name: the field's, "" for a single one.
        family: the field's.
        steps: that it has been trained for.
        rate: what the learning rate is called where the user sets it.
    """
    adapted = family_class(family).takes_noise
    advice = f"halve {rate}, or use the purpose fit" if adapted else f"lower {rate}, or use the family winner"
    return (
        f"{name or 'the field'} has collapsed, or is yet to start: after {steps} steps its loss is still that of the "
        f"mean alone; {advice}"
    )
