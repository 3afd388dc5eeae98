"""ReLU networks on a positional encoding, as in NeRF.

Mildenhall, Srinivasan, Tancik, Barron, Ramamoorthi, Ng: NeRF: Representing Scenes as Neural Radiance Fields for View
Synthesis, ECCV 2020 (arXiv 2003.08934), equation 4: gamma(x) = (sin(2^k pi x), cos(2^k pi x)), k = 0 ... L - 1, for
each coordinate; as in the authors' code, the coordinates themselves are passed on too.

Published defaults: L = 10 (paper, section 5.1). For images, the FINER comparison (Liu et al., CVPR 2024,
run_pemlp.sh) uses L = 10, four hidden layers of 256, torch's default initialisation and Adam at 1e-3; that code and
NeRF's leave the factor pi out, the paper's equation, and this file, have it: the highest frequency is 2^9 pi radians
per unit.
"""

from __future__ import annotations

import math
from typing import Any, Callable, ClassVar, Dict, List, Optional

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.dense_layers import SINE, DenseLayer
from winner_ns.fields.field import Field
from winner_ns.fields.sine_layer import undrawn_linear

MOST_FREQUENCIES = 64
"""Octaves; single precision holds no sine of a coordinate times 2^64."""


def default_linear(in_features: int, out_features: int, generator: Optional[torch.Generator] = None) -> nn.Linear:
    """nn.Linear with torch's default initialisation, U(±1/sqrt(in_features)), drawn from the generator."""
    layer = undrawn_linear(in_features, out_features)
    bound = 1.0 / math.sqrt(in_features)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


class MultilayerPerceptron(nn.Module):
    """`depth` fully connected layers with an activation and a linear output layer, initialised by torch's default.

    Args:
        in_features, out_features: widths of input and output.
        width: neurons of every hidden layer.
        depth: number of hidden layers, the first one included.
        activation: applied element by element after each hidden layer.
        generator: source of all randomness; None is torch's global one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int,
        depth: int,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(
            default_linear(in_features if i == 0 else width, width, generator) for i in range(depth)
        )
        self.output = default_linear(width, out_features, generator)

    def dense_layers(self, activation: str) -> List[DenseLayer]:
        """Its chain, with the activation as `DenseLayer` has it."""
        hidden = [
            DenseLayer(layer.weight, layer.bias, activation)
            for layer in self.layers
            if isinstance(layer, nn.Linear)  # As all of them are.
        ]
        return [*hidden, DenseLayer(self.output.weight, self.output.bias)]

    def forward(self, x: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        for layer in self.layers:
            x = self.activation(layer(x))
        return self.output(x)


class ReluPE(Field):
    """A ReLU network R^d -> R^c on NeRF's positional encoding.

    Args:
        in_dim: number of coordinates d, each in [-1, 1].
        out_dim: number of values c.
        width: neurons of every hidden layer.
        depth: number of hidden layers.
        frequencies: L, the number of octaves of the encoding; 0 leaves a plain ReLU network.
        highest: the encoding's highest frequency in radians per unit, > 0: its L frequencies are then evenly spaced in
            their logarithm from pi/2, or that; None: 2^k pi.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: a dimension, width or depth below 1, a negative number of frequencies or a highest one that is not
            positive.
    """

    learning_rate: ClassVar[float] = 1e-3
    encoded: ClassVar[bool] = True
    band_setting: ClassVar[Optional[str]] = "frequencies"
    source: ClassVar[str] = "ReLU with positional encoding: Mildenhall et al. (NeRF), ECCV 2020, arXiv 2003.08934"

    octaves: Float[Tensor, " frequencies"]
    """Of the encoding, in radians per unit."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 256,
        depth: int = 4,
        frequencies: int = 10,
        highest: Optional[float] = None,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        settings: Dict[str, Any] = {"width": width, "depth": depth, "frequencies": frequencies}
        settings["highest"] = None if highest is None else float(highest)
        super().__init__(
            in_dim, out_dim, settings, () if highest is None else ("highest",), not_negative=("frequencies",)
        )
        if frequencies > MOST_FREQUENCIES:
            raise ValueError(f"frequencies must be at most {MOST_FREQUENCIES}, got {frequencies}")
        if highest is None:
            octaves = math.pi * 2.0 ** torch.arange(frequencies)
        else:
            octaves = torch.linspace(math.log(min(math.pi / 2, highest)), math.log(highest), frequencies).exp()
        self.register_buffer("octaves", octaves, persistent=False)
        self.network = MultilayerPerceptron(
            in_dim * (1 + 2 * frequencies), out_dim, width=width, depth=depth, generator=generator
        )

    @classmethod
    def turned(cls, settings: Dict[str, Any], knob: float, in_dim: int) -> Dict[str, Any]:
        """The highest frequency of the encoding, whose number of frequencies stays."""
        return {"highest": knob}

    def encode(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch e"]:
        """(x, sin(f x), cos(f x)) of the octaves f: coordinates, then all sines, then all cosines; e = d (1 + 2 L)."""
        phases = (coordinates[..., None] * self.octaves).flatten(-2)
        return torch.cat([coordinates, phases.sin(), phases.cos()], dim=-1)

    def dense_layers(self) -> List[DenseLayer]:
        # Neurons of the first layer: the coordinates as they are, then sines, then cosines, sin(z + pi / 2).
        axes = torch.eye(self.in_dim)
        phases = (axes[:, None, :] * self.octaves.cpu()[:, None]).reshape(-1, self.in_dim)
        quarter = torch.full((len(phases),), math.pi / 2)
        bias = torch.cat([torch.zeros(self.in_dim + len(phases)), quarter])
        encoding = DenseLayer(torch.cat([axes, phases, phases]), bias, f"i < {self.in_dim} ? z : {SINE}")
        return [encoding, *self.network.dense_layers("max(z, 0.0)")]

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        return self.network(self.encode(coordinates))
