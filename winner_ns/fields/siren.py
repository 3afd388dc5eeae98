"""SIREN: sine networks.

Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit Neural Representations with Periodic Activation Functions,
NeurIPS 2020 (arXiv 2006.09661), section 3.2 and supplement 1.5 for the initialisation.
"""

from __future__ import annotations

import math
from typing import Any, Callable, ClassVar, Dict, Optional, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.field import Field
from winner_ns.fields.sine_layer import SineLayer, undrawn_linear
from winner_ns.fields.siren_gradient import siren_gradient
from winner_ns.spectrum.band import SineNetwork


class Siren(Field):
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
    band_setting: ClassVar[Optional[str]] = "first_omega_0"
    source: ClassVar[str] = "SIREN: Sitzmann et al., NeurIPS 2020, arXiv 2006.09661"

    layers: Sequence[SineLayer]

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
        first_omega_0 = omega_0 if first_omega_0 is None else first_omega_0
        settings = {"width": width, "depth": depth, "omega_0": float(omega_0), "first_omega_0": float(first_omega_0)}
        super().__init__(in_dim, out_dim, settings, positive=("omega_0", "first_omega_0"))
        hidden_bound = math.sqrt(6.0 / width) / omega_0
        layers = nn.ModuleList(
            SineLayer(
                in_dim if i == 0 else width,
                width,
                omega_0=first_omega_0 if i == 0 else omega_0,
                bound=1.0 / in_dim if i == 0 else hidden_bound,
                generator=generator,
            )
            for i in range(depth)
        )
        self.layers = layers  # pyright: ignore[reportAttributeAccessIssue] (a ModuleList does not say of what)
        self.output = undrawn_linear(width, out_dim)
        with torch.no_grad():
            self.output.weight.uniform_(-hidden_bound, hidden_bound, generator=generator)
            bias_bound = 1.0 / math.sqrt(width)
            self.output.bias.uniform_(-bias_bound, bias_bound, generator=generator)

    @classmethod
    def sine_network(cls, in_dim: int, settings: Dict[str, Any]) -> SineNetwork:
        omega_0 = settings.get("omega_0") or 30.0
        first_omega_0 = settings.get("first_omega_0") or omega_0
        return SineNetwork(in_dim, settings["width"], settings["depth"], omega_0, first_omega_0)

    def summed_gradient(self) -> Optional[Callable[..., Any]]:
        # It is that of sines alone: a subclass may make something else of the layers.
        sines = all(type(layer) is SineLayer for layer in self.layers)
        return siren_gradient if sines and type(self).forward is Siren.forward else None

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        hidden = coordinates.reshape(-1, self.in_dim)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.output(hidden).reshape(*coordinates.shape[:-1], self.out_dim)
