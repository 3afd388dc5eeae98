"""Fields of sine layers and a linear output layer: SIREN, and FINER, whose sines have another argument."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.dense_layers import DenseLayer
from winner_ns.fields.field import Field
from winner_ns.fields.sine_gradient import sine_gradient
from winner_ns.fields.sine_layer import SineLayer, undrawn_linear


class SineField(Field):
    """A network R^d -> R^c: `depth` sine layers and a linear output layer.

    Weights of the first layer ~ U(-1/d, 1/d), of all others ~ U(±sqrt(6/n)/omega_0); biases keep torch's default
    (Sitzmann et al., NeurIPS 2020, arXiv 2006.09661, supplement 1.5).

    Args:
        in_dim: number of coordinates d.
        out_dim: number of values c.
        settings: as for `Field`, width, depth, omega_0 and first_omega_0 among them.
        layer: makes a layer: its class, or a function of the same arguments.
        not_negative: as for `Field`.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: a dimension, width or depth below 1, an omega_0 that is not positive, or as `Field`.
    """

    layers: Sequence[SineLayer]

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        settings: Dict[str, Any],
        layer: Callable[..., SineLayer] = SineLayer,
        not_negative: Iterable[str] = (),
        generator: Optional[torch.Generator] = None,
    ) -> None:
        super().__init__(in_dim, out_dim, settings, ("omega_0", "first_omega_0"), not_negative)
        width, omega_0 = settings["width"], settings["omega_0"]
        hidden_bound = math.sqrt(6.0 / width) / omega_0
        layers = nn.ModuleList(
            layer(
                in_dim if i == 0 else width,
                width,
                omega_0=settings["first_omega_0"] if i == 0 else omega_0,
                bound=1.0 / in_dim if i == 0 else hidden_bound,
                generator=generator,
            )
            for i in range(settings["depth"])
        )
        self.layers = layers  # pyright: ignore[reportAttributeAccessIssue] (a ModuleList does not say of what)
        self.output = undrawn_linear(width, out_dim)
        with torch.no_grad():
            self.output.weight.uniform_(-hidden_bound, hidden_bound, generator=generator)
            bias_bound = 1.0 / math.sqrt(width)
            self.output.bias.uniform_(-bias_bound, bias_bound, generator=generator)

    def summed_gradient(self) -> Optional[Callable[..., Any]]:
        # It is that of what the layers say of themselves: a subclass may make something else of them.
        known = type(self).forward is SineField.forward
        return sine_gradient if known and all(_says(layer, "activate") for layer in self.layers) else None

    def dense_layers(self) -> Optional[List[DenseLayer]]:
        if not all(_says(layer, "activation") for layer in self.layers):
            return None
        hidden = [DenseLayer(e.omega_0 * e.weight, e.omega_0 * e.bias, e.activation) for e in self.layers]
        return [*hidden, DenseLayer(self.output.weight, self.output.bias)]

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        hidden = coordinates.reshape(-1, self.in_dim)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.output(hidden).reshape(*coordinates.shape[:-1], self.out_dim)


def _says(layer: nn.Module, what: str) -> bool:
    """Whether a member of a layer, such as its derivative (`SineLayer.activate`), is of what it does to its
    pre-activation: the class that says the one says the other, and the pre-activation is a sine layer's."""
    if not isinstance(layer, SineLayer) or type(layer).pre_activation is not SineLayer.pre_activation:
        return False
    named = ("forward", what)
    nearest = next(each for each in type(layer).__mro__ if any(name in vars(each) for name in named))
    return all(name in vars(nearest) for name in named)
