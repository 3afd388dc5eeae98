"""The state of a field that is nearest to samples it is not trained on: where these are noisy, it stops before the
noise is fitted, too."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

from torch import Tensor, nn

from winner_ns.fields import evaluate
from winner_ns.fitting.target import Target

LOOKS = 50
"""Times that a run looks at the withheld samples."""
MOST_SAMPLES = 16384
"""That are looked at: all looks together cost about 2 % of the steps' time."""
LEAST_TOLD = 0.1
"""Part of what is no noise in the withheld samples that the best state has to tell, or they say nothing about any."""


def withheld_tell(error: float, variance: float, noise: float) -> bool:
    """Whether withheld samples tell a field's states apart. Those of a bright spectrum do not: nothing knows them from
    the others, and the field that is nearest to them is the one that gives their mean.

    Args:
        error: mean squared, of the best state at the withheld samples.
        variance: of these.
        noise: its part that is white noise, at most; where that is nearly all, that the mean is best says something.
    """
    explainable = max(variance - noise, 0.0)
    return explainable < LEAST_TOLD * variance or variance - error >= LEAST_TOLD * explainable


class BestState:
    """Keeps the best of a training's states, and gives it back at the end.

    Args:
        target: what is trained on, some of whose samples are withheld.
        steps: of the whole run.
    """

    def __init__(self, target: Target, steps: int) -> None:
        self.steps, self._every = steps, max(1, steps // LOOKS)
        self._target = target
        self._withheld: Optional[Tuple[Tensor, Tensor]] = None
        self.step, self.error = 0, float("inf")
        """After how many steps it was, and its mean squared error at the withheld samples, as they are trained on."""
        self._weights: Dict[str, Tensor] = {}

    def see(self, step: int, field: nn.Module) -> None:
        """Looks at a field after its step-th step, from 1 on, if it is time to; after the last one it is given back."""
        if step % self._every == 0 or step == self.steps:
            error = self._error(field)
            # What is no number is never less.
            if error < self.error:
                self.step, self.error = step, error
                self._weights = {name: value.detach().clone() for name, value in field.state_dict().items()}
        if step == self.steps:
            self.give_back(field)

    def give_back(self, field: nn.Module) -> None:
        """Makes a field what it was when it was best; it stays as it is where the withheld samples do not tell."""
        if self._weights and withheld_tell(self.error, float(self._samples()[1].var()), self._target.noise_loss):
            field.load_state_dict(self._weights)

    def _samples(self) -> Tuple[Tensor, Tensor]:
        if self._withheld is None:
            self._withheld = self._target.heldout_batch(MOST_SAMPLES)
        assert self._withheld is not None
        return self._withheld

    def _error(self, field: nn.Module) -> float:
        coordinates, values = self._samples()
        was_training = field.training
        field.eval()
        error = float((evaluate(field, coordinates) - values).double().square().mean())
        field.train(was_training)
        return error

    def state_dict(self) -> Dict[str, Any]:
        """What a run that goes on later needs to know, in plain numbers and tensors."""
        return {"step": self.step, "error": self.error, "weights": self._weights}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self.step, self.error, self._weights = state["step"], state["error"], state["weights"]
