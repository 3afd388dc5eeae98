"""SIREN: sine networks.

Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit Neural Representations with Periodic Activation Functions,
NeurIPS 2020 (arXiv 2006.09661), section 3.2 and supplement 1.5 for the initialisation.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Optional

import torch

from winner_ns.fields.sine_field import SineField
from winner_ns.spectrum.band import SineNetwork


class Siren(SineField):
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
        super().__init__(in_dim, out_dim, settings, generator=generator)

    @classmethod
    def sine_network(cls, in_dim: int, settings: Dict[str, Any]) -> SineNetwork:
        omega_0 = settings.get("omega_0") or 30.0
        first_omega_0 = settings.get("first_omega_0") or omega_0
        return SineNetwork(in_dim, settings["width"], settings["depth"], omega_0, first_omega_0)
