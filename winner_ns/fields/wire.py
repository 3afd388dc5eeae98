"""WIRE: networks of complex Gabor wavelets.

Saragadam, LeJeune, Tan, Balakrishnan, Veeraraghavan, Baraniuk: WIRE: Wavelet Implicit Neural Representations, CVPR
2023 (arXiv 2301.05187). A layer is exp(j omega_0 z - |s z|²) with z = W x + b; W and b are real in the first layer and
complex in all others, and the field is the real part of a complex linear output layer. As a complex number is two real
ones, the layers are narrower than the nominal width by sqrt(2), so that a WIRE has about as many parameters as a SIREN
of that width.

Published defaults: omega_0 = 20 in all layers, s = 10, nominally four hidden layers of 256, torch's default
initialisation, Adam at 5e-3 (the comparison in Liu et al., FINER, CVPR 2024: run_wire.sh, the best of 18 learning
rates). The authors' own script (github.com/vishwa91/wire, wire_image_denoise.py) suggests omega_0 = 20 and s = 30 for
representing images, omega_0 = s = 4 for denoising, and rates of 5e-3 to 2e-2.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Dict, Optional

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from winner_ns.fields.field import Field
from winner_ns.fields.gauss import LARGEST_DECAY
from winner_ns.fields.relu_pe import default_linear


class ComplexLinear(nn.Module):
    """W x + b in complex numbers; real and imaginary parts ~ U(±1/sqrt(in_features)), torch's default.

    The parameters are stored as pairs of real numbers: Adam treats the parts separately either way, and gradient
    scaling, data-parallel training and counting parameters know real numbers only.

    Args:
        in_features, out_features: widths, in complex numbers.
        generator: source of all randomness; None is torch's global one.
    """

    def __init__(self, in_features: int, out_features: int, generator: Optional[torch.Generator] = None) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(in_features)
        weight, bias = torch.empty(out_features, in_features, 2), torch.empty(out_features, 2)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(bias.uniform_(-bound, bound, generator=generator))

    def forward(self, x: Complex[Tensor, "n i"]) -> Complex[Tensor, "n o"]:
        return torch.addmm(torch.view_as_complex(self.bias), x, torch.view_as_complex(self.weight).t())


class Wire(Field):
    """A WIRE R^d -> R^c: `depth` complex Gabor layers and a complex linear output layer, of which the real part counts.

    Args:
        in_dim: number of coordinates d, each in [-1, 1].
        out_dim: number of values c.
        width: nominal width; the layers have floor(width / sqrt(2)) complex neurons.
        depth: number of hidden layers, the first one included.
        omega_0: frequency factor of the hidden layers.
        first_omega_0: frequency factor of the first layer; None is omega_0.
        scale: s, the inverse width of the wavelets' envelope, >= 0.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: a dimension or depth below 1, a width below 2, an omega_0 that is not positive or a negative scale.
    """

    learning_rate: ClassVar[float] = 5e-3
    band_setting: ClassVar[Optional[str]] = "first_omega_0"
    source: ClassVar[str] = "WIRE: Saragadam et al., CVPR 2023, arXiv 2301.05187"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 256,
        depth: int = 4,
        omega_0: float = 20.0,
        first_omega_0: Optional[float] = None,
        scale: float = 10.0,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        first_omega_0 = omega_0 if first_omega_0 is None else first_omega_0
        settings: Dict[str, Any] = {
            "width": width,
            "depth": depth,
            "omega_0": float(omega_0),
            "first_omega_0": float(first_omega_0),
            "scale": float(scale),
        }
        super().__init__(in_dim, out_dim, settings, ("omega_0", "first_omega_0"), not_negative=("scale",))
        if width < 2:
            raise ValueError(f"width must be at least 2, got {width}")
        self.omega_0, self.first_omega_0, self.scale = float(omega_0), float(first_omega_0), float(scale)
        neurons = math.floor(width / math.sqrt(2.0))
        self.first = default_linear(in_dim, neurons, generator)
        self.layers = nn.ModuleList(ComplexLinear(neurons, neurons, generator) for _ in range(depth - 1))
        self.output = ComplexLinear(neurons, out_dim, generator)

    @classmethod
    def turned(cls, settings: Dict[str, Any], knob: float, in_dim: int) -> Dict[str, Any]:
        """All frequency factors and the envelope by a common factor, which leaves the wavelets' shape."""
        factor = knob / (settings.get("omega_0") or 20.0)
        first_omega_0 = (settings.get("first_omega_0") or settings.get("omega_0") or 20.0) * factor
        scale = settings["scale"] if settings.get("scale") is not None else 10.0
        return {"omega_0": knob, "first_omega_0": first_omega_0, "scale": scale * factor}

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        # There are no complex numbers of half precision: under autocast this family stays in float32.
        with torch.autocast(coordinates.device.type, enabled=False):
            # The exponent of exp(j omega z - |s z|²) with z = u + j v: -omega v - s² (u² + v²) + j omega u.
            u = self.first(coordinates.reshape(-1, self.in_dim))
            decay = (self.scale * u).square()
            hidden = torch.exp(torch.complex(-decay.clamp(max=LARGEST_DECAY), self.first_omega_0 * u))
            for layer in self.layers:
                z = layer(hidden)
                u, v = z.real, z.imag
                decay = self.omega_0 * v + self.scale**2 * (u.square() + v.square())
                hidden = torch.exp(torch.complex(-decay.clamp(max=LARGEST_DECAY), self.omega_0 * u))
            return self.output(hidden).real.reshape(*coordinates.shape[:-1], self.out_dim)
