"""Density and colour of a scene: a coordinate network with two heads."""

from __future__ import annotations

import math
from typing import Tuple

import torch
from jaxtyping import Float
from nerfstudio.field_components.activations import trunc_exp
from nerfstudio.field_components.encodings import SHEncoding
from torch import Tensor, nn

from winner_ns.fields.mean_squared_error import evaluate

GAIN = 10.0
"""Factor of the trunk's first value before the exponential: a fresh SIREN's values deviate by a few hundredths from 0,
while the logarithms of a scene's densities span about ten."""
COLOR_RATE = 5e-3
"""Adam's rate for the ReLU layers that turn a scene's features into colours (docs/views.md)."""
START = 0.3
"""Density at the start, per unit of the field's coordinate: a ray that crosses [-1, 1]^3 keeps about half its light."""


class RadianceField(nn.Module):
    """Density sigma(x) = START exp(GAIN t_0(x)) and colour c(t_1(x), …, d) of a trunk t.

    The trunk's other values and the viewing direction's spherical harmonics (degree 3) go through a ReLU layer and a
    sigmoid to the colour.

    Args:
        trunk: a network from points of [-1, 1]^3 to 1 + features values that are near 0 at the start.
        color_width: neurons of the colour head's hidden layer.
    """

    def __init__(self, trunk: nn.Module, color_width: int = 64) -> None:
        super().__init__()
        self.trunk = trunk
        self.direction_encoding = SHEncoding(levels=4, implementation="torch")
        inputs = trunk.out_dim - 1 + self.direction_encoding.get_out_dim()
        self.color = nn.Sequential(nn.Linear(inputs, color_width), nn.ReLU(), nn.Linear(color_width, 3), nn.Sigmoid())

    def density(self, points: Float[Tensor, "n 3"]) -> Tuple[Float[Tensor, "n 1"], Float[Tensor, "n f"]]:
        """Densities, per unit of the field's coordinate, and features at points of [-1, 1]^3."""
        values = self.trunk(points) if torch.is_grad_enabled() else evaluate(self.trunk, points)
        return trunc_exp(values[:, :1] * GAIN + math.log(START)), values[:, 1:]

    def colors(self, features: Float[Tensor, "n f"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Colours in [0, 1] of features seen along unit directions."""
        return self.color(torch.cat([features, self.direction_encoding(directions)], dim=-1))
