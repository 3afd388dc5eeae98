"""FINER: sine networks whose frequency grows with the pre-activation.

Liu, Zhu, Zhang, Fu, Deng, Ma, Guo, Cao: FINER: Flexible Spectral-bias Tuning in Implicit Neural Representation by
Variable-periodic Activation Functions, CVPR 2024 (arXiv 2312.02434).

A layer is sin(omega_0 (|z| + 1) z) with z = W x + b; weights are initialised as in SIREN. The larger the range k of the
first layer's biases, U(-k, k), the higher the frequencies that the field starts with.

Published defaults (the authors' code, github.com/liuzhen0212/FINER: models.py, train_image.py, run_finer.sh): four
hidden layers of 256, omega_0 = 30 in all layers, Adam at 5e-4, no k of its own (the first biases keep torch's default,
that is k = 1/sqrt(d)), and the factor |z| + 1 counts as a constant in backpropagation (scale_req_grad = False).
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Dict, Optional

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.dense_layers import glsl_float
from winner_ns.fields.sine_field import SineField
from winner_ns.fields.sine_layer import SineLayer


class FinerLayer(SineLayer):
    """h = sin(omega_0 (|z| + 1) z) with z = W x + b; arguments as those of SineLayer.

    Args:
        scale_gradient: whether |z| + 1 is differentiated during training. In evaluation mode it always is, so that
            derivatives by the coordinates (normals, gradients) are those of the function itself.
    """

    def __init__(self, *args: Any, scale_gradient: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale_gradient = scale_gradient

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        phase = self.pre_activation(x)
        constant = self.training and not self.scale_gradient
        scale = (phase.detach() if constant else phase).abs() / self.omega_0 + 1.0
        return torch.sin(scale * phase)

    @property
    def activation(self) -> str:
        return f"sine((abs(z) / {glsl_float(self.omega_0)} + 1.0) * z)"

    def activate(self, z: Float[Tensor, "n o"], value: Float[Tensor, "n o"], scratch: Float[Tensor, "n o"]) -> None:
        scale = torch.abs(z, out=scratch).div_(self.omega_0).add_(1.0)
        torch.sin(z.mul_(scale), out=value)
        z.cos_()
        if self.scale_gradient or not self.training:
            # |z| z has the derivative 2 |z|.
            scale.mul_(2.0).sub_(1.0)
        z.mul_(scale)


class Finer(SineField):
    """A FINER network R^d -> R^c: `depth` variable-periodic layers and a linear output layer.

    With `first_bias_scale` None a seed gives the weights that `Siren` gets from it.

    Args:
        in_dim: number of coordinates d, each in [-1, 1].
        out_dim: number of values c.
        width: neurons of every hidden layer.
        depth: number of hidden layers, the first one included.
        omega_0: frequency factor of the hidden layers.
        first_omega_0: frequency factor of the first layer; None is omega_0.
        first_bias_scale: k of the first layer's biases, U(-k, k); None is torch's default, 1/sqrt(d).
        scale_gradient: whether training differentiates the factor |z| + 1 too.
        spread_biases: whether, where a law's noise is added, the first layer's biases are drawn so that the neurons'
            slowest places, z = 0, lie all over the domain.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: a dimension, width or depth below 1, an omega_0 that is not positive or a negative bias scale.
    """

    learning_rate: ClassVar[float] = 5e-4
    noise_on_request: ClassVar[bool] = True
    band_setting: ClassVar[Optional[str]] = "first_bias_scale"
    source: ClassVar[str] = "FINER: Liu et al., CVPR 2024, arXiv 2312.02434"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 256,
        depth: int = 4,
        omega_0: float = 30.0,
        first_omega_0: Optional[float] = None,
        first_bias_scale: Optional[float] = None,
        scale_gradient: bool = False,
        spread_biases: bool = False,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        first_omega_0 = omega_0 if first_omega_0 is None else first_omega_0
        settings: Dict[str, Any] = {
            "width": width,
            "depth": depth,
            "omega_0": float(omega_0),
            "first_omega_0": float(first_omega_0),
            "first_bias_scale": None if first_bias_scale is None else float(first_bias_scale),
            "scale_gradient": scale_gradient,
            "spread_biases": spread_biases,
        }
        not_negative = () if first_bias_scale is None else ("first_bias_scale",)
        layer = partial(FinerLayer, scale_gradient=scale_gradient)
        super().__init__(in_dim, out_dim, settings, layer, not_negative, generator)
        if first_bias_scale is not None:
            nn.init.uniform_(self.layers[0].bias, -first_bias_scale, first_bias_scale, generator=generator)

    @classmethod
    def turned(cls, settings: Dict[str, Any], knob: float, in_dim: int) -> Dict[str, Any]:
        """Below 1, slower sines in the first layer; noise widens the band. Along one coordinate, noise so wide leaves
        z = 0 near the middle alone unless the biases spread it."""
        first_omega_0 = settings.get("first_omega_0") or settings.get("omega_0") or 30.0
        return {"first_omega_0": first_omega_0 * knob, "spread_biases": in_dim == 1 and knob >= 1}

    @torch.no_grad()
    def noise_added(self, generator: Optional[torch.Generator]) -> None:
        if self.settings["spread_biases"]:
            first = self.layers[0]
            places = torch.empty_like(first.weight).uniform_(-1.0, 1.0, generator=generator)
            first.bias.copy_(-(first.weight * places).sum(1))
