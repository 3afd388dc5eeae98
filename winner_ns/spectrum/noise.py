"""From a signal to its spectrum, and from its spectrum to noise scales, in the words that users are told."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.spectrum.band import SineNetwork, initial_band
from winner_ns.spectrum.centroid import centroid_of_function, spectral_centroid
from winner_ns.spectrum.laws import LAWS, TargetSpectrum

DISTANCE_SCALE = 0.02
"""delta: a shape's training target is tanh(distance / delta), distances in units of the unit cube."""

SHAPE_KAPPA: Dict[str, float] = {"distance": 4.0, "occupancy": 1.4, "eikonal": 4.0}
"""kappa for shapes, by what they are trained with. Training points are drawn without end, so that there is nothing to
interpolate between, and a squashed distance is constant almost everywhere, so that its centroid says less than its edge
needs (docs/shapes.md). Signs alone leave specks where the band is wide."""

MOST_RADIANS = 1e30
"""Of all frequencies and scales of a report."""

BOTTLENECK_RATIO = 400.0
"""Centroid frequency over plain SIREN's initial band above which plain SIREN was measured to stay on its plateau."""


def grid_spectrum(
    kind: str,
    samples: Shaped[np.ndarray, "*shape channels"],
    nyquist: Sequence[float],
    value_offset: float = 0.0,
    count: Optional[int] = None,
    hertz: Optional[float] = None,
) -> TargetSpectrum:
    """The spectrum of samples on a regular grid.

    Args:
        kind: image, audio, volume or video.
        samples: the training samples, raw, channels last.
        nyquist: per axis, the grid's Nyquist frequency in radians per unit of coordinate.
        value_offset: the raw value that counts as zero: psi is that of the values in [-1, 1].
        count: how many of them are trained on; None: all.
        hertz: the frequency of one radian per unit of coordinate, of sounds.
    """
    axes = [axis for axis in range(samples.ndim - 1) if samples.shape[axis] > 1]
    channels = samples.shape[-1]
    psi = float(np.mean([spectral_centroid(samples, axis, offset=value_offset) for axis in axes]))
    omega = float(np.mean([spectral_centroid(samples, axis, remove_mean=True) * nyquist[axis] for axis in axes]))
    # Row after row only where the array lies in memory that way; a copy of a large one would be no small matter.
    flat = samples.ndim == 3
    raster = spectral_centroid(samples.reshape(-1, channels), offset=value_offset) if flat else psi
    count = math.prod(samples.shape[:-1]) if count is None else count
    return TargetSpectrum(
        kind, samples.ndim - 1, channels, psi, omega, raster, nyquist=max(nyquist), samples=count, hertz=hertz
    )


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
    """Whether the spectrum is so bright that what lies between the samples cannot be told (`TargetSpectrum.bright`)."""
    hertz: Optional[float] = None
    """The frequency of one radian per unit of coordinate, of sounds."""

    @property
    def bottleneck(self) -> bool:
        """Whether a plain SIREN is expected to collapse on this target."""
        return self.omega > BOTTLENECK_RATIO * self.plain_band

    def lines(self) -> List[str]:
        """What a user reads of it."""
        kappa = "" if self.kappa is None else f", kappa {self.kappa:.3g}"
        noise = f"s0 {self.s0:.5g}, s1 {self.s1:.4g}"
        if self.s0 == self.s1 == 0:
            noise = "no noise needed: this is a plain SIREN" if self.kappa else "no noise: this is a plain SIREN"
        return [
            f"spectrum  psi {self.psi:.4f} of Nyquist, Omega {self._frequency(self.omega)}",
            f"law       {self.law}{kappa}: {noise}",
            f"band      {self._frequency(self.band)} at the start (plain SIREN {self._frequency(self.plain_band)})",
        ]

    def _frequency(self, omega: float) -> str:
        """An angular frequency in the units that a user knows."""
        return f"{omega:.5g} rad/unit" if self.hertz is None else f"{omega * self.hertz:.4g} Hz"

    def as_dict(self) -> Dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> NoiseReport:
        """The report that `as_dict` gave, which is not trusted; what is new to this version is left aside.

        Raises:
            ValueError: something is missing, no number, or out of range.
        """
        values: Dict[str, Any] = {each.name: plain.get(each.name) for each in fields(cls)}
        for name, value in values.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_RADIANS
            allowed = {"law": isinstance(value, str), "bright": isinstance(value, bool)}.get(name, number)
            if not allowed and not (value is None and name in ("kappa", "first_layer_divisor", "hertz")):
                raise ValueError(f"the description's {name} is {value!r}")
        return cls(**values)


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
        purpose: for the law matching, kappa by name or number (`MatchingLaw.chosen`).
        s0, s1: for the law explicit.

    Raises:
        ValueError: unknown names, contradicting flags, or a law that does not know this kind of target.
    """
    if law not in LAWS:
        raise ValueError(f"unknown law {law!r}; there are {', '.join(LAWS)}")
    asked = {"purpose": purpose, "s0": s0, "s1": s1}
    for name, value in asked.items():
        if value is not None and name not in LAWS[law].takes:
            others = " or ".join(other for other in LAWS if name in LAWS[other].takes)
            raise ValueError(f"the law {law!r} takes no {name}; {others} does")
    try:
        weights = network.weights(target.channels)
        chosen = LAWS[law].chosen(target, weights, **{name: asked[name] for name in LAWS[law].takes})
        scales = chosen(target, network)
        usable = 0 <= scales.s0 <= MOST_RADIANS and 0 <= scales.s1 <= MOST_RADIANS
    except (TypeError, AttributeError) as error:  # A law of somebody else's.
        raise ValueError(f"the law {law!r} does not work ({error})") from error
    if not usable:
        raise ValueError(f"the law {law!r} gives s0 = {scales.s0} and s1 = {scales.s1}, which are no scales of noise")
    # Numbers of numpy are no JSON.
    scales = replace(scales, s0=float(scales.s0), s1=float(scales.s1))
    if scales.s1 > 0 and network.depth < 2:
        raise ValueError("s1 > 0 needs a network of at least two sine layers")
    return NoiseReport(
        psi=chosen.psi_seen(target),
        omega=target.omega,
        law=law,
        kappa=chosen.kappa,
        s0=scales.s0,
        s1=scales.s1,
        first_layer_divisor=scales.first_layer_divisor,
        band=initial_band(network, scales.s0, scales.s1),
        plain_band=initial_band(network),
        bright=target.bright,
        hertz=target.hertz,
    )
