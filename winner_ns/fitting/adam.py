"""Adam by torch's own function: torch.optim's class imports torch's compiler, which takes a second of a short fit."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Tuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adam import adam

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980) with torch's defaults but for beta2, the same bit for bit as
    torch.optim.Adam; with a decay of the weights as torch.optim.AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).

    Args:
        parameters: what is trained; in `step`, those without a gradient stay as they are.
        beta2: decay of the squared gradients' average, in [0, 1).
        weight_decay: part of the weights that goes with each step, over the learning rate; 0 or more.
    """

    def __init__(self, parameters: Iterable[Parameter], beta2: float = BETA2, weight_decay: float = 0.0) -> None:
        self.parameters: List[Parameter] = list(parameters)
        self.betas: Tuple[float, float] = BETA1, beta2
        """Decay of the gradients' average, and of their squares'."""
        self.weight_decay = weight_decay
        self._averages = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in self.parameters]
        self._squares = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in self.parameters]
        self._steps = [torch.tensor(0.0) for _ in self.parameters]

    def zero_grad(self) -> None:
        """Drops the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Moves the parameters along their gradients."""
        trained = [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]

        def of(values: List[Any]) -> List[Any]:
            return [values[i] for i in trained]

        gradients: List[Tensor] = [parameter.grad for parameter in of(self.parameters)]
        if self.weight_decay:
            # Torch's function knows of it from version 2.7 on.
            for parameter in of(self.parameters):
                parameter.mul_(1 - learning_rate * self.weight_decay)
        adam(
            of(self.parameters),
            gradients,
            of(self._averages),
            of(self._squares),
            [],
            of(self._steps),
            grad_scale=None,
            found_inf=None,
            has_complex=False,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=learning_rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def state_dict(self, learning_rate: float, first_rate: float) -> Dict[str, Any]:
        """The state as torch.optim.Adam has it, for checkpoints that nerfstudio goes on from.

        Args:
            learning_rate: of the next step.
            first_rate: of the first one.
        """
        rows = zip(self._steps, self._averages, self._squares, strict=True)
        state = {i: {"step": n, "exp_avg": m, "exp_avg_sq": v} for i, (n, m, v) in enumerate(rows) if n > 0}
        names = ("maximize", "capturable", "differentiable", "amsgrad")
        group: Dict[str, Any] = {
            "lr": learning_rate,
            "initial_lr": first_rate,
            "betas": self.betas,
            "eps": EPSILON,
            "weight_decay": self.weight_decay,
            "decoupled_weight_decay": self.weight_decay > 0,
            "foreach": None,
            "fused": None,
            **dict.fromkeys(names, False),
            "params": list(range(len(self.parameters))),
        }
        return {"state": state, "param_groups": [group]}

    @torch.no_grad()
    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Takes the state of another one, or of torch.optim.Adam or AdamW, for the same parameters; the betas and the
        decay of the weights are its own, too.

        Raises:
            KeyError, RuntimeError: it is not of these parameters.
        """
        self.betas, self.weight_decay = betas_of(state), weight_decay_of(state)
        for i, of_parameter in state["state"].items():
            self._steps[i].copy_(of_parameter["step"])
            self._averages[i].copy_(of_parameter["exp_avg"])
            self._squares[i].copy_(of_parameter["exp_avg_sq"])


def weight_decay_of(state: Dict[str, Any]) -> float:
    """The decay of the weights that a saved state was made with, over the learning rate.

    Raises:
        KeyError, IndexError, ValueError, TypeError: it is no such state.
    """
    return float(state["param_groups"][0]["weight_decay"])


def betas_of(state: Dict[str, Any]) -> Tuple[float, float]:
    """What a saved state (`Adam.state_dict`, or torch.optim.Adam's) was made with: decay of the gradients' average, and
    of their squares'.

    Raises:
        KeyError, IndexError, ValueError, TypeError: it is no such state.
    """
    beta1, beta2 = state["param_groups"][0]["betas"]
    return float(beta1), float(beta2)
