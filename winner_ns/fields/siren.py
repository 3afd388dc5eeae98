"""SIREN: sine networks.

Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit Neural Representations with Periodic Activation Functions,
NeurIPS 2020 (arXiv 2006.09661), section 3.2 and supplement 1.5 for the initialisation.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Dict, Optional

import torch
from jaxtyping import Float
from torch import Tensor, nn


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

    def pre_activation(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """z = omega_0 (W x + b), what the sine is applied to, in radians."""
        # omega_0 goes into the matrix product, never into the parameters: with Adam that would scale the learning rate.
        return torch.addmm(self.bias, x, self.weight.t(), beta=self.omega_0, alpha=self.omega_0)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        z = self.pre_activation(x)
        return torch.sin(z) if z.requires_grad else z.sin_()


class Siren(nn.Module):
    """A SIREN R^d -> R^c: `depth` sine layers and a linear output layer.

    Weights of the first layer ~ U(-1/d, 1/d), of all others ~ U(±sqrt(6/n)/omega_0); biases keep torch's default.

    Args:
        in_dim: number of coordinates d, each in [-1, 1].
        out_dim: number of values c.
        width: neurons of every sine layer.
        depth: number of sine layers, the first one included.
        omega_0: frequency factor of the hidden layers.
        first_omega_0: frequency factor of the first layer; None is omega_0.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: a dimension, width or depth below 1 or an omega_0 that is not positive.
    """

    learning_rate: ClassVar[float] = 1e-3
    source: ClassVar[str] = "SIREN: Sitzmann et al., NeurIPS 2020, arXiv 2006.09661"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 256,
        depth: int = 4,
        omega_0: float = 30.0,
        first_omega_0: Optional[float] = None,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        super().__init__()
        first_omega_0 = omega_0 if first_omega_0 is None else first_omega_0
        if min(in_dim, out_dim, width, depth) < 1:
            raise ValueError(f"all sizes must be at least 1, got {in_dim=}, {out_dim=}, {width=}, {depth=}")
        if not (omega_0 > 0 and first_omega_0 > 0):
            raise ValueError(f"omega_0 must be positive, got {omega_0} and {first_omega_0} for the first layer")
        self.in_dim, self.out_dim = in_dim, out_dim
        self.settings: Dict[str, Any] = {
            "width": width,
            "depth": depth,
            "omega_0": float(omega_0),
            "first_omega_0": float(first_omega_0),
        }
        hidden_bound = math.sqrt(6.0 / width) / omega_0
        self.layers = nn.ModuleList(
            SineLayer(
                in_dim if i == 0 else width,
                width,
                omega_0=first_omega_0 if i == 0 else omega_0,
                bound=1.0 / in_dim if i == 0 else hidden_bound,
                generator=generator,
            )
            for i in range(depth)
        )
        # Without Linear's own initialisation, which would draw from the global generator.
        self.output = nn.utils.skip_init(nn.Linear, width, out_dim)
        with torch.no_grad():
            self.output.weight.uniform_(-hidden_bound, hidden_bound, generator=generator)
            bias_bound = 1.0 / math.sqrt(width)
            self.output.bias.uniform_(-bias_bound, bias_bound, generator=generator)

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        hidden = coordinates.reshape(-1, self.in_dim)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.output(hidden).reshape(*coordinates.shape[:-1], self.out_dim)
