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
        """Looks at a field after its step-th step, from 1 on, if it is time to; after the last one the field becomes
        what it was when it was best."""
        if step % self._every == 0 or step == self.steps:
            error = self._error(field)
            # What is no number is never less.
            if error < self.error:
                self.step, self.error = step, error
                self._weights = {name: value.detach().clone() for name, value in field.state_dict().items()}
        if step == self.steps:
            self.give_back(field)

    def give_back(self, field: nn.Module) -> None:
        """Makes a field what it was when it was best; one that was not looked at stays as it is."""
        if self._weights:
            field.load_state_dict(self._weights)

    def _error(self, field: nn.Module) -> float:
        if self._withheld is None:
            self._withheld = self._target.heldout_batch(MOST_SAMPLES)
        assert self._withheld is not None
        coordinates, values = self._withheld
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
