"""What sine networks are made of."""

from __future__ import annotations

import math
from typing import Optional

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.dense_layers import SINE


class SineLayer(nn.Module):
    """h = sin(omega_0 (W x + b)).

    Args:
        in_features, out_features: widths.
        omega_0: frequency factor, > 0.
        bound: weights are drawn from U(-bound, bound); biases from torch's default U(±1/sqrt(in_features)).
        generator: source of all randomness; None is torch's global one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        omega_0: float,
        bound: float,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        super().__init__()
        self.omega_0 = float(omega_0)
        weight, bias = torch.empty(out_features, in_features), torch.empty(out_features)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound, generator=generator))
        bias_bound = 1.0 / math.sqrt(in_features)
        self.bias = nn.Parameter(bias.uniform_(-bias_bound, bias_bound, generator=generator))

    @property
    def activation(self) -> str:
        """What `forward` makes of its pre-activation, as `DenseLayer` has it."""
        return SINE

    def pre_activation(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """z = omega_0 (W x + b), what the sine is applied to, in radians."""
        # omega_0 goes into the matrix product, never into the parameters: with Adam that would scale the learning rate.
        return torch.addmm(self.bias, x, self.weight.t(), beta=self.omega_0, alpha=self.omega_0)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        z = self.pre_activation(x)
        return torch.sin(z) if z.requires_grad else z.sin_()

    def activate(self, z: Float[Tensor, "n o"], value: Float[Tensor, "n o"], scratch: Float[Tensor, "n o"]) -> None:
        """What `forward` makes of its pre-activation, and the derivative that autograd finds of it, without a graph.

        Args:
            z: the pre-activation, which becomes the derivative by it.
            value: takes the layer's values.
            scratch: for intermediate results.
        """
        torch.sin(z, out=value)
        z.cos_()


class _Undrawn(nn.Linear):
    # torch's own skip_init does the same by way of the device "meta", and imports its compiler for that: half a second
    # of every program that builds a field.
    def reset_parameters(self) -> None:
        """Leaves the weights to whoever asked."""


def undrawn_linear(in_features: int, out_features: int) -> nn.Linear:
    """nn.Linear without its own initialisation, which would draw from the global generator."""
    return _Undrawn(in_features, out_features)
