"""Networks with Gaussian activations.

Ramasinghe, Lucey: Beyond Periodicity: Towards a Unifying Framework for Activations in Coordinate-MLPs, ECCV 2022
(arXiv 2111.15135). A layer is exp(-z² / (2 sigma²)) with z = W x + b, written here as exp(-(s z)²), s = 1/(sqrt(2)
sigma), the form that later comparisons tune.

Published defaults: s = 30, four hidden layers of 256, torch's default initialisation, Adam at 5e-3 (the comparison in
Liu et al., FINER, CVPR 2024: run_gauss.sh).
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Optional

import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.fields.dense_layers import DenseLayer, glsl_float
from winner_ns.fields.field import Field
from winner_ns.fields.relu_pe import MultilayerPerceptron

LARGEST_DECAY = 50.0
"""Exponents of envelopes stop at exp(-50) = 2e-22, which is nothing beside 1 in single precision: further down, results
and gradients become denormal numbers, on which CPUs are many times slower (measured: 4 to 10 times per step)."""


class Gauss(Field):
    """A network R^d -> R^c of `depth` Gaussian layers and a linear output layer.

    Args:
        in_dim: number of coordinates d, each in [-1, 1].
        out_dim: number of values c.
        width: neurons of every hidden layer.
        depth: number of hidden layers, the first one included.
        scale: s in exp(-(s z)²), > 0.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: a dimension, width or depth below 1 or a scale that is not positive.
    """

    learning_rate: ClassVar[float] = 5e-3
    band_setting: ClassVar[Optional[str]] = "scale"
    source: ClassVar[str] = "Gaussian activations: Ramasinghe and Lucey, ECCV 2022, arXiv 2111.15135"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 256,
        depth: int = 4,
        scale: float = 30.0,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        settings: Dict[str, Any] = {"width": width, "depth": depth, "scale": float(scale)}
        super().__init__(in_dim, out_dim, settings, positive=("scale",))
        self.scale = float(scale)
        self.network = MultilayerPerceptron(
            in_dim, out_dim, width=width, depth=depth, activation=self.activation, generator=generator
        )

    def activation(self, z: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """exp(-(s z)²)."""
        return torch.exp(-(self.scale * z).square().clamp(max=LARGEST_DECAY))

    def dense_layers(self) -> List[DenseLayer]:
        squared = glsl_float(self.scale**2)
        return self.network.dense_layers(f"exp(-min({squared} * z * z, {glsl_float(LARGEST_DECAY)}))")

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        return self.network(coordinates)
