"""ReLU networks on random Fourier features.

Tancik, Srinivasan, Mildenhall, Fridovich-Keil, Raghavan, Singhal, Ramamoorthi, Barron, Ng: Fourier Features Let
Networks Learn High Frequency Functions in Low Dimensional Domains, NeurIPS 2020 (arXiv 2006.10739), section 6.1:
gamma(v) = (cos(2 pi B v), sin(2 pi B v)) for v in [0, 1]^d, with the entries of B drawn once from N(0, sigma²).

Published defaults for images: 256 features, sigma = 10, hidden layers of 256 ReLUs. The authors' demonstration notebook
trains by Adam at 1e-4 on all pixels at once; the rate here is that of the positional encoding, 1e-3. Theirs ends in a
sigmoid; here, as in all families, the output is linear, and torch's default initialisation takes the place of JAX's.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Dict, List, Optional, Tuple

import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.fields.dense_layers import SINE, DenseLayer
from winner_ns.fields.field import Field
from winner_ns.fields.relu_pe import MultilayerPerceptron


class RandomFourierFeatures(Field):
    """A ReLU network R^d -> R^c on random Fourier features.

    Args:
        in_dim: number of coordinates d, each in [-1, 1]; they are brought to the paper's [0, 1] inside, so that sigma
            means what it means there.
        out_dim: number of values c.
        width: neurons of every hidden layer.
        depth: number of hidden layers.
        features: number of random frequencies; the network sees a cosine and a sine of each.
        sigma: standard deviation of the frequencies, in cycles per length of the domain, >= 0.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: a dimension, width, depth or number of features below 1 or a negative sigma.
    """

    learning_rate: ClassVar[float] = 1e-3
    encoded: ClassVar[bool] = True
    sizes: ClassVar[Tuple[str, ...]] = ("width", "depth", "features")
    band_setting: ClassVar[Optional[str]] = "sigma"
    source: ClassVar[str] = "Random Fourier features: Tancik et al., NeurIPS 2020, arXiv 2006.10739"

    frequencies: Float[Tensor, "features d"]
    """B, drawn once; not trained, saved with the weights."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 256,
        depth: int = 4,
        features: int = 256,
        sigma: float = 10.0,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        settings: Dict[str, Any] = {"width": width, "depth": depth, "features": features, "sigma": float(sigma)}
        super().__init__(in_dim, out_dim, settings, not_negative=("sigma",))
        self.register_buffer("frequencies", torch.empty(features, in_dim).normal_(generator=generator) * sigma)
        self.network = MultilayerPerceptron(2 * features, out_dim, width=width, depth=depth, generator=generator)

    def encode(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch e"]:
        """(cos(2 pi B v), sin(2 pi B v)) with v = (x + 1) / 2; e = 2 features."""
        phases = (coordinates + 1.0) @ (math.pi * self.frequencies).t()
        return torch.cat([phases.cos(), phases.sin()], dim=-1)

    def dense_layers(self) -> List[DenseLayer]:
        # cos(z) = sin(z + pi / 2), and the coordinates' shift by 1 goes into the biases.
        weight = math.pi * self.frequencies
        shifts = weight.sum(1)
        bias = torch.cat([shifts + math.pi / 2, shifts])
        return [DenseLayer(torch.cat([weight, weight]), bias, SINE), *self.network.dense_layers("max(z, 0.0)")]

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        return self.network(self.encode(coordinates))
