"""From a signal to its spectrum, and from its spectrum to noise scales, in the words that users are told."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from jaxtyping import Bool, Float, Shaped

from winner_ns.safe_text import is_word
from winner_ns.shape_losses import SHAPE_LOSSES
from winner_ns.spectrum.band import SineNetwork, initial_band
from winner_ns.spectrum.centroid import MOST_SAMPLES, line_centroids, spectral_centroid
from winner_ns.spectrum.denoised import denoised_frequency
from winner_ns.spectrum.laws import LAWS, NoiseScales, TargetSpectrum
from winner_ns.spectrum.low_frequencies import low_frequencies
from winner_ns.spectrum.moments import channel_moments
from winner_ns.spectrum.white_noise import noise_deviation

DISTANCE_SCALE = 0.02
"""delta: a shape's training target is tanh(distance / delta), distances in units of the unit cube."""

SHAPE_RESOLUTION = 64
"""Samples per axis of the grid that a shape's spectrum is drawn on."""

MOST_RADIANS = 1e30
"""Of all frequencies and scales of a report."""

LEAST_FACTOR, MOST_FACTOR = 1e-6, 1e9
"""Of weights: beyond these, variances leave the range of their numbers. Biases may be taken away altogether."""
MOST_FACTORS = 1025
"""Of a field: a layer's each."""

BOTTLENECK_RATIO = 400.0
"""Centroid frequency over plain SIREN's initial band above which plain SIREN was measured to stay on its plateau."""


def grid_spectrum(
    kind: str,
    samples: Shaped[np.ndarray, "*shape channels"],
    nyquist: Sequence[float],
    value_offset: float = 0.0,
    count: Optional[int] = None,
    hertz: Optional[float] = None,
    means: Optional[Float[np.ndarray, " channels"]] = None,
) -> TargetSpectrum:
    """The spectrum of samples on a regular grid.

    Args:
        kind: image, audio, volume or video.
        samples: the training samples, raw, channels last.
        nyquist: per axis, the grid's Nyquist frequency in radians per unit of coordinate.
        value_offset: the raw value that counts as zero: psi is that of the values in [-1, 1].
        count: how many of them are trained on; None: all.
        hertz: the frequency of one radian per unit of coordinate, of sounds.
        means: of the channels, raw, where they are known already.
    """
    axes = [axis for axis in range(samples.ndim - 1) if samples.shape[axis] > 1]
    channels = samples.shape[-1]
    zeros = [channel_moments(samples)[0] if means is None else means, np.full(channels, value_offset)]
    centroids = np.array([line_centroids(samples, axis, zeros) for axis in axes])
    omega = float(np.mean(centroids[:, 0] * [nyquist[axis] for axis in axes]))
    psi = float(centroids[:, 1].mean())
    raster = psi
    if samples.ndim == 3:
        # Where the rows do not lie in memory one after the other they are copied, and no more than are looked at.
        most = len(samples) if samples.flags.c_contiguous else max(1, MOST_SAMPLES // samples[0].size)
        first = max(0, (len(samples) - most) // 2)
        raster = spectral_centroid(samples[first : first + most].reshape(-1, channels), offset=value_offset)
    count = math.prod(samples.shape[:-1]) if count is None else count
    return TargetSpectrum(
        kind,
        samples.ndim - 1,
        channels,
        psi,
        omega,
        raster,
        nyquist=max(nyquist),
        samples=count,
        hertz=hertz,
        low_frequencies=partial(low_frequencies, samples, nyquist) if samples.ndim > 2 else None,
        denoised=partial(denoised_omega, samples, nyquist),
    )


def denoised_omega(
    samples: Shaped[np.ndarray, "*shape channels"],
    nyquist: Sequence[float],
    gaps: Optional[Bool[np.ndarray, "*shape"]] = None,
) -> float:
    """The centroid frequency of what noise leaves of samples, as `denoised_frequency`, with the noise estimated.

    Args:
        samples: raw, channels last.
        nyquist: per axis, radians per unit of coordinate.
        gaps: which of them are no measurements but filled in.
    """
    share = 0.0 if gaps is None else float(gaps.mean())
    return denoised_frequency(samples, nyquist, noise_deviation(samples, gaps=gaps), share)


def shape_spectrum(distances: Float[np.ndarray, " n"], loss: str = "distance") -> TargetSpectrum:
    """The spectrum of what a shape's field is trained on, from the signed distances of training points.

    Omega is the root-mean-square angular frequency, per axis, of the target f = tanh(d / DISTANCE_SCALE) as training's
    points see it: Omega² = E[|grad f|²]/(3 Var f). A distance has slope 1, so that |grad f| = (1 - f²)/DISTANCE_SCALE,
    and distances say it all. psi is Omega over the Nyquist frequency of a grid of SHAPE_RESOLUTION samples an axis.

    Args:
        distances: in units of the unit cube, drawn as training draws them.
        loss: what the field is trained by. Signs alone have no frequency of their own, and any noise was measured to
            leave specks: there kappa is 0 where no purpose is asked for.
    """
    f = np.tanh(np.asarray(distances, np.float64) / DISTANCE_SCALE)
    squared_slope, variance = np.square((1.0 - f * f) / DISTANCE_SCALE).mean(), f.var()
    # What rounding leaves of a constant has no frequency.
    omega = math.sqrt(squared_slope / (3.0 * variance)) if variance > 1e-24 else 0.0
    nyquist = math.pi * (SHAPE_RESOLUTION - 1) / 2
    spectrum = TargetSpectrum("shape", 3, 1, omega / nyquist, omega, nyquist=nyquist)
    return spectrum if SHAPE_LOSSES[loss].tells_distances else replace(spectrum, kappa=0.0)


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
    factors: Optional[Tuple[float, ...]] = None
    """Of the weights, as `NoiseScales` has them."""
    bias_factors: Optional[Tuple[float, ...]] = None
    """Of the biases."""
    first_omega_0: Optional[float] = None
    """That the law chose; None: it is the user's."""

    @property
    def bottleneck(self) -> bool:
        """Whether a plain SIREN is expected to collapse on this target."""
        return self.omega > BOTTLENECK_RATIO * self.plain_band

    def lines(self, instead: str = "") -> List[str]:
        """What a user reads of it; `instead` says what was changed in place of noise."""
        kappa = "" if self.kappa is None else f", kappa {self.kappa:.3g}"
        plain = self.frequency_in_words(self.plain_band)
        return [
            f"spectrum  psi {self.psi:.4f} of Nyquist, Omega {self.frequency_in_words(self.omega)}",
            f"law       {self.law}{kappa}: {self.in_words(instead)}",
            f"band      {self.frequency_in_words(self.band)} at the start (plain SIREN {plain})",
        ]

    def in_words(self, instead: str = "") -> str:
        """What the law made of the spectrum; `instead` says what was changed in place of noise."""
        silent, chosen = self.s0 == self.s1 == 0, self._chosen()
        if silent and (chosen or instead):
            return chosen or instead
        if silent:
            return "no noise needed: this is a plain SIREN" if self.kappa else "no noise: this is a plain SIREN"
        scales = instead or f"s0 {self.s0:.5g}, s1 {self.s1:.4g}"
        return f"{scales}, {chosen}" if chosen else scales

    def _chosen(self) -> str:
        """What the law chose besides noise."""
        factors = {"weights": self.factors, "biases": self.bias_factors}
        told = [] if self.first_omega_0 is None else [f"first_omega_0 {self.first_omega_0:.5g}"]
        told += [f"{name} times {_in_runs(values)}" for name, values in factors.items() if values is not None]
        return ", ".join(told)

    def frequency_in_words(self, omega: float) -> str:
        """An angular frequency in the units that a user knows."""
        return f"{omega:.5g} rad/unit" if self.hertz is None else f"{omega * self.hertz:.4g} Hz"

    def as_dict(self) -> Dict[str, Any]:
        """Plain JSON; what only some laws and kinds say is left out of the others'."""
        plain = asdict(self)
        lists = {name: list(plain[name]) for name in _FACTORS if plain[name] is not None}
        absent = [name for name in ("hertz", "first_omega_0", *_FACTORS) if plain[name] is None]
        return {name: value for name, value in {**plain, **lists}.items() if name not in absent}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> NoiseReport:
        """The report that `as_dict` gave, which is not trusted; what is new to this version is left aside.

        Raises:
            ValueError: something is missing, no number, or out of range.
        """
        values: Dict[str, Any] = {each.name: plain.get(each.name) for each in fields(cls)}
        for name, value in values.items():
            allowed = {
                "law": is_word(value),
                "bright": isinstance(value, bool),
                "factors": _are_factors(value, LEAST_FACTOR),
                "bias_factors": _are_factors(value, 0.0),
                "first_omega_0": _is_number(value, MOST_RADIANS) and value > 0,
            }.get(name, _is_number(value, MOST_RADIANS))
            if not allowed and not (value is None and name in _MAY_BE_LEFT_OUT):
                raise ValueError(f"the description's {name} is {value!r}"[:200])
        values.update({name: tuple(values[name]) for name in _FACTORS if values[name] is not None})
        return cls(**values)


_FACTORS = ("factors", "bias_factors")
_MAY_BE_LEFT_OUT = ("kappa", "first_layer_divisor", "hertz", "first_omega_0", *_FACTORS)


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _are_factors(values: Any, least: float) -> bool:
    """Whether these may be what the layers' weights (or biases) are multiplied by."""
    is_list = isinstance(values, (list, tuple)) and 2 <= len(values) <= MOST_FACTORS
    return is_list and all(_is_number(value, MOST_FACTOR) and value >= least for value in values)


def _in_runs(values: Sequence[float]) -> str:
    """Numbers, each with how often it comes where that is more than once."""
    runs: List[Tuple[float, int]] = []
    for value in values:
        runs = [*runs[:-1], (value, runs[-1][1] + 1)] if runs and runs[-1][0] == value else [*runs, (value, 1)]
    return " ".join(f"{value:.4g}" if count == 1 else f"{count} x {value:.4g}" for value, count in runs)


def choose_noise(
    target: TargetSpectrum,
    network: SineNetwork,
    law: str = "matching",
    purpose: Optional[Union[str, float]] = None,
    s0: Optional[float] = None,
    s1: Optional[float] = None,
    given: Collection[str] = (),
) -> NoiseReport:
    """Applies a law to a target's spectrum.

    Args:
        target: what was measured.
        network: the sine network that is to be initialised.
        law: a name of LAWS.
        purpose: for the law matching, kappa by name or number (`MatchingLaw.chosen`); of other laws that take one, the
            number that they leave open.
        s0, s1: for the law explicit.
        given: names of the network's settings that are the user's choice and none of the law's.

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
        # Numbers of numpy are no JSON.
        scales = _plain(scales)
    except (TypeError, AttributeError) as error:  # A law of somebody else's.
        raise ValueError(f"the law {law!r} does not work ({error})") from error
    if not usable:
        raise ValueError(f"the law {law!r} gives s0 = {scales.s0} and s1 = {scales.s1}, which are no scales of noise")
    _check_factors(law, scales, network)
    made = network
    if scales.first_omega_0 is not None:
        if not 0 < scales.first_omega_0 <= MOST_RADIANS:
            raise ValueError(f"the law {law!r} gives first_omega_0 = {scales.first_omega_0}, which is no frequency")
        if "first_omega_0" in given and scales.first_omega_0 != network.first_omega_0:
            raise ValueError(f"the law {law!r} chooses first_omega_0 itself; leave that out, or take another law")
        made = replace(network, first_omega_0=scales.first_omega_0)
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
        band=initial_band(made, scales.s0, scales.s1, scales.factors, scales.bias_factors),
        plain_band=initial_band(network),
        bright=target.bright,
        hertz=target.hertz,
        factors=scales.factors,
        bias_factors=scales.bias_factors,
        first_omega_0=scales.first_omega_0,
    )


def _plain(scales: NoiseScales) -> NoiseScales:
    """The same in Python's own numbers."""
    factors = {name: getattr(scales, name) for name in _FACTORS}
    chosen = scales.first_omega_0
    return replace(
        scales,
        s0=float(scales.s0),
        s1=float(scales.s1),
        first_omega_0=None if chosen is None else float(chosen),
        **{name: None if values is None else tuple(map(float, values)) for name, values in factors.items()},
    )


def _check_factors(law: str, scales: NoiseScales, network: SineNetwork) -> None:
    """Raises ValueError for factors that a network of so many layers cannot be multiplied by."""
    for name, least in zip(_FACTORS, (LEAST_FACTOR, 0.0), strict=True):
        values = getattr(scales, name)
        if values is None:
            continue
        if len(values) != network.depth + 1:
            count = f"{network.depth} sine layers and an output"
            raise ValueError(f"the law {law!r} gives {len(values)} {name}, where there are {count}")
        if not _are_factors(values, least):
            raise ValueError(f"the law {law!r} gives {name} of {_in_runs(values)}: from {least:g} to {MOST_FACTOR:g}")
