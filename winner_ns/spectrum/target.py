"""From a signal to its spectrum, and from its spectrum to noise scales, in the words that users are told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.spectrum.band import SineNetwork, initial_band
from winner_ns.spectrum.centroid import centroid_of_function, spectral_centroid
from winner_ns.spectrum.laws import (
    LAWS,
    ExplicitLaw,
    MatchingLaw,
    NoiseScales,
    TargetSpectrum,
    kappa_of,
)

DISTANCE_SCALE = 0.02
"""delta: a shape's training target is tanh(distance / delta), distances in units of the unit cube."""

SHAPE_KAPPA: Dict[str, float] = {"distance": 4.0, "occupancy": 1.4, "eikonal": 4.0}
"""kappa for shapes, by what they are trained with. Training points are drawn without end, so that there is nothing to
interpolate between, and a squashed distance is constant almost everywhere, so that its centroid says less than its edge
needs (docs/shapes.md). Signs alone leave specks where the band is wide."""

BRIGHT: Dict[int, float] = {1: 0.5, 2: 0.33}
"""psi, by the number of coordinates (0.33 from three on), above which the samples do not tell what lies between them:
at withheld samples a plain SIREN, whose band is low, was measured to be ahead of every noise."""

BOTTLENECK_RATIO = 400.0
"""Centroid frequency over plain SIREN's initial band above which plain SIREN was measured to stay on its plateau."""


def grid_spectrum(
    kind: str, samples: Shaped[np.ndarray, "*shape channels"], nyquist: Sequence[float], value_offset: float = 0.0
) -> TargetSpectrum:
    """The spectrum of samples on a regular grid.

    Args:
        kind: image, audio, volume or video.
        samples: the training samples, raw, channels last.
        nyquist: per axis, the grid's Nyquist frequency in radians per unit of coordinate.
        value_offset: the raw value that counts as zero: psi is that of the values in [-1, 1].
    """
    axes = [axis for axis in range(samples.ndim - 1) if samples.shape[axis] > 1]
    channels = samples.shape[-1]
    psi = float(np.mean([spectral_centroid(samples, axis, offset=value_offset) for axis in axes]))
    omega = float(np.mean([spectral_centroid(samples, axis, remove_mean=True) * nyquist[axis] for axis in axes]))
    # Row after row only where the array lies in memory that way; a copy of a large one would be no small matter.
    raster = spectral_centroid(samples.reshape(-1, channels), offset=value_offset) if kind == "image" else psi
    return TargetSpectrum(kind, samples.ndim - 1, channels, psi, omega, raster, nyquist=max(nyquist))


def shape_spectrum(
    target: Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]], resolution: int = 64, loss: str = "distance"
) -> TargetSpectrum:
    """The spectrum of a shape's training target (a function on the unit cube), from a grid of `resolution`^3; loss is
    a key of SHAPE_KAPPA."""
    psi, omega = centroid_of_function(target, dimensions=3, resolution=resolution)
    nyquist = np.pi * (resolution - 1) / 2
    return TargetSpectrum("shape", 3, 1, psi, omega, kappa=SHAPE_KAPPA[loss], nyquist=nyquist)


@dataclass(frozen=True)
class NoiseReport:
    """What was measured, what the law made of it, and what to expect."""

    psi: float
    omega: float
    """Radians per unit of coordinate."""
    law: str
    kappa: Optional[float]
    """Of the matching law, else None."""
    s0: float
    s1: float
    first_layer_divisor: Optional[float]
    band: float
    """Predicted rms angular frequency of the field's output at the start, per axis, radians per unit."""
    plain_band: float
    """The same for a plain SIREN."""

    bright: bool
    """Whether the spectrum is so bright that what lies between the samples cannot be told (`BRIGHT`)."""

    @property
    def bottleneck(self) -> bool:
        """Whether a plain SIREN is expected to collapse on this target."""
        return self.omega > BOTTLENECK_RATIO * self.plain_band

    def lines(self) -> List[str]:
        """What a user reads of it."""
        kappa = "" if self.kappa is None else f", kappa {self.kappa:g}"
        return [
            f"spectrum  psi {self.psi:.4f} of Nyquist, Omega {self.omega:.5g} rad/unit",
            f"law       {self.law}{kappa}: s0 {self.s0:.5g}, s1 {self.s1:.4g}",
            f"band      {self.band:.5g} rad/unit at the start (plain SIREN {self.plain_band:.4g})",
        ]

    def as_dict(self) -> Dict[str, Any]:
        return asdict(self)


def choose_noise(
    target: TargetSpectrum,
    network: SineNetwork,
    law: str = "matching",
    purpose: Optional[Union[str, float]] = None,
    s0: Optional[float] = None,
    s1: Optional[float] = None,
) -> NoiseReport:
    """Applies a law to a target's spectrum.

    Args:
        target: what was measured.
        network: the sine network that is to be initialised.
        law: a name of LAWS.
        purpose: kappa of the matching law by name or number; None is the target's own. "interpolate", asked
            for by name, means no noise where the spectrum is too bright to interpolate (`BRIGHT`): that is best at
            withheld samples, and useless at the fitted ones.
        s0, s1: for the explicit law; given with another law they are an error.

    Raises:
        ValueError: unknown names, contradicting flags, or a law that does not know this kind of target.
    """
    if law not in LAWS:
        raise ValueError(f"unknown law {law!r}; there are {', '.join(LAWS)}")
    if law != "explicit" and (s0 is not None or s1 is not None):
        raise ValueError(f"s0 and s1 are computed by the law {law!r}; use the law explicit to give them")
    if law != "matching" and purpose is not None:
        raise ValueError(f"the law {law!r} knows no purpose; only matching does")
    bright = target.kind not in ("shape", "views") and target.psi > BRIGHT.get(target.dimensions, 0.33)
    kappa: Optional[float] = None
    if law == "explicit":
        scales: NoiseScales = ExplicitLaw(s0 or 0.0, s1 or 0.0)(target, network)
    elif law == "matching":
        if purpose is None:
            kappa = target.kappa
        else:
            kappa = 0.0 if bright and purpose == "interpolate" else kappa_of(purpose)
        scales = MatchingLaw(kappa)(target, network)
    else:
        scales = LAWS[law]()(target, network)
    if scales.s1 > 0 and network.depth < 2:
        raise ValueError("s1 > 0 needs a network of at least two sine layers")
    return NoiseReport(
        psi=target.psi_raster if law == "reference-code" and target.psi_raster is not None else target.psi,
        omega=target.omega,
        law=law,
        kappa=kappa,
        s0=scales.s0,
        s1=scales.s1,
        first_layer_divisor=scales.first_layer_divisor,
        band=initial_band(network, scales.s0, scales.s1),
        plain_band=initial_band(network),
        bright=bright,
    )
