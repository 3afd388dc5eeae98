"""Laws: from what the target's spectrum says to the noise scales (s0, s1)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, Optional, Tuple, Type, Union

from winner_ns.kinds import KINDS
from winner_ns.registry import Registry
from winner_ns.spectrum.band import SineNetwork, band_gain, initial_band

if TYPE_CHECKING:
    from winner_ns.spectrum.low_frequencies import LowFrequencies

PURPOSES: Tuple[str, ...] = ("interpolate", "fit", "denoise")
"""Names of what a field is for, from which the law matching takes its kappa (`kappa_of`)."""
INTERPOLATING_KAPPA = 0.5
LAYER_TWO_VARIANCE = 3.0
"""V, the variance of the second layer's pre-activation that matching takes (plain SIREN: 1), where a kind has none of
its own."""
BRIGHT_SOUNDS_VARIANCE = 16.0
"""V along a single coordinate where the spectrum is bright: it helps where a sound's frequencies are high, and costs
others several decibels (docs/spectrum.md)."""

MOST = 1e9
"""Of s0, s1 and kappa: many orders beyond what is of use, and within single precision."""

BRIGHT: Dict[int, float] = {1: 0.5, 2: 0.33}
"""psi, by the number of coordinates (0.33 from three on), above which the samples do not tell what lies between them:
at withheld samples a plain SIREN, whose band is low, was measured to be ahead of every noise."""


@dataclass(frozen=True)
class TargetSpectrum:
    """What the laws look at."""

    kind: str
    """image, audio, shape, volume, video or views."""
    dimensions: int
    channels: int
    psi: float
    """Spectral centroid, isotropic (mean over axes), Nyquist = 1."""
    omega: float
    """The mean-removed training samples' centroid as an angular frequency: psi times Nyquist, averaged over the axes,
    radians per unit of coordinate. Of shapes, the root-mean-square one (`shape_spectrum`)."""
    psi_raster: Optional[float] = None
    """Centroid of the flattened raster (rows one after the other), channels averaged: what the authors' code runs."""
    kappa: Optional[float] = None
    """Of the matching law, where no purpose is asked for; None: that of the kind's usual one."""
    nyquist: float = math.inf
    """The highest of the axes', radians per unit of coordinate; infinite where there is no grid, as of photographs."""
    samples: Optional[int] = None
    """How many are trained on; None: as many as are asked for, drawn anew."""
    hertz: Optional[float] = None
    """The frequency of one radian per unit of coordinate, of sounds."""
    low_frequencies: Optional[Callable[[], LowFrequencies]] = field(default=None, repr=False, compare=False)
    """Measures the magnitude spectrum itself, for laws that look at more of it than its centroid; None where there is
    no grid of two axes or more."""
    denoised: Optional[Callable[[], float]] = field(default=None, repr=False, compare=False)
    """Measures omega anew, of what white noise leaves of the samples; None where values are no measurements, or have
    been freed of noise already."""

    @property
    def bright(self) -> bool:
        """Whether so much of it lies near Nyquist that what is between the samples cannot be told (`BRIGHT`)."""
        return KINDS[self.kind].has_gaps and self.psi > BRIGHT.get(self.dimensions, 0.33)


def layer_two_variance(target: TargetSpectrum) -> float:
    """V, where nobody chooses another."""
    own = KINDS[target.kind].layer_two_variance
    if own is not None:
        return own
    return BRIGHT_SOUNDS_VARIANCE if target.dimensions == 1 and target.bright else LAYER_TWO_VARIANCE


@dataclass(frozen=True)
class NoiseScales:
    """Noise of layers 1 and 2 before the division by omega_0, and whatever else a law makes of a fresh SIREN."""

    s0: float
    s1: float
    first_layer_divisor: Optional[float] = None
    """What s0 is divided by, where that is not the first layer's omega_0."""
    factors: Optional[Tuple[float, ...]] = None
    """What the weights as SIREN draws them are multiplied by, before the noise: a number above 0 for each sine layer,
    and the output layer's last. None: 1."""
    bias_factors: Optional[Tuple[float, ...]] = None
    """The same of the biases; 0 takes them away."""
    first_omega_0: Optional[float] = None
    """The first layer's omega_0, where the law chooses that."""


class Law(ABC):
    """From a target's spectrum and a sine network to noise scales; a law is a subclass, made of what the user chose."""

    source: ClassVar[str] = ""
    """Where it is from."""
    takes: ClassVar[Tuple[str, ...]] = ()
    """Which of purpose, s0 and s1 a user may choose; `chosen` is given them."""
    kappa: Optional[float] = None
    """The initial band over the target's centroid frequency, where the law is made of that."""

    @classmethod
    def chosen(cls, target: TargetSpectrum, weights: int, **given: Any) -> Law:
        """The law with what the user chose of `takes`; what was not chosen is None. The field has so many weights.

        Raises:
            ValueError: a choice that cannot be.
        """
        return cls(**given)

    @classmethod
    def check_purpose(cls, purpose: Union[str, float]) -> None:
        """Looks at a purpose as far as that can be without a target, where `takes` has it.

        Raises:
            ValueError: it cannot be.
        """
        if isinstance(purpose, float) and not math.isfinite(purpose):
            raise ValueError(f"the purpose must be finite, got {purpose}")

    @abstractmethod
    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        """The noise scales.

        Raises:
            ValueError: the law does not know this kind of target, or what was chosen is out of range.
        """

    def psi_seen(self, target: TargetSpectrum) -> float:
        """The centroid that the law looks at."""
        return target.psi


@dataclass(frozen=True)
class PaperLaw(Law):
    """s0 = s_max (1 - exp(-a psi/C)), s1 = b psi/C with the paper's constants [s_max, a, b]."""

    source: ClassVar[str] = "arXiv 2509.12980 (SIREN²): [3500, 5, 3] for audio, [50, 5, 0.4] for images"
    constants: ClassVar[Dict[str, tuple]] = {"audio": (3500.0, 5.0, 3.0), "image": (50.0, 5.0, 0.4)}

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        s_max, a, b = _constants(self, target)
        return NoiseScales(
            s_max * (1.0 - math.exp(-a * target.psi / target.channels)), b * target.psi / target.channels
        )


@dataclass(frozen=True)
class ReferenceCodeLaw(Law):
    """The paper's law as its authors' code runs it.

    a = 7 for audio; images are looked at as a flattened raster; the number of channels divides twice (once inside the
    centroid); the noise of layer 1 is divided by the hidden layers' omega_0 even if the first layer's is another.
    """

    source: ClassVar[str] = "the code released with arXiv 2509.12980: [3500, 7, 3] for audio, [50, 5, 0.4] for images"
    constants: ClassVar[Dict[str, tuple]] = {"audio": (3500.0, 7.0, 3.0), "image": (50.0, 5.0, 0.4)}

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        s_max, a, b = _constants(self, target)
        divided_twice = self.psi_seen(target) / target.channels / target.channels
        return NoiseScales(
            s_max * (1.0 - math.exp(-a * divided_twice)), b * divided_twice, first_layer_divisor=network.omega_0
        )

    def psi_seen(self, target: TargetSpectrum) -> float:
        return target.psi if target.psi_raster is None else target.psi_raster


def _constants(law: Union[PaperLaw, ReferenceCodeLaw], target: TargetSpectrum) -> tuple:
    if target.kind not in law.constants:
        raise ValueError(
            f"the paper gives no noise scales for {target.kind} targets, only for audio and images; "
            "use the law matching"
        )
    return law.constants[target.kind]


@dataclass(frozen=True)
class ExplicitLaw(Law):
    """s0 and s1 as given."""

    s0: float = 0.0
    s1: float = 0.0
    source: ClassVar[str] = "given by the user"
    takes: ClassVar[Tuple[str, ...]] = ("s0", "s1")

    @classmethod
    def chosen(cls, target: TargetSpectrum, weights: int, **given: Any) -> ExplicitLaw:
        return cls(given.get("s0") or 0.0, given.get("s1") or 0.0)

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        if not (0 <= self.s0 <= MOST and 0 <= self.s1 <= MOST):
            raise ValueError(f"s0 and s1 must be from 0 to {MOST:g}, got {self.s0} and {self.s1}")
        return NoiseScales(self.s0, self.s1)


@dataclass(frozen=True)
class MatchingLaw(Law):
    """Spectral matching: the fresh field's band is kappa times the target's centroid frequency, whatever the kind.

    The layer-2 variance V = 1 + H s1²/2 is fixed, so s1 = sqrt(2 (V - 1)/H), and
    s0 = sqrt((kappa Omega/G)² - (omega_0/d)²/3) makes sigma_out = kappa Omega (`initial_band`). Where that has no
    root, s0 = 0 and s1 shrinks, down to plain SIREN where its own band already reaches kappa Omega.
    """

    kappa: float = INTERPOLATING_KAPPA
    variance: Optional[float] = None
    """V; None: `layer_two_variance`."""
    source: ClassVar[str] = "winner_ns: initial band = kappa x centroid frequency (docs/spectrum.md)"
    takes: ClassVar[Tuple[str, ...]] = ("purpose",)

    @classmethod
    def chosen(cls, target: TargetSpectrum, weights: int, **given: Any) -> MatchingLaw:
        return cls(kappa_of(given.get("purpose"), target, weights))

    @classmethod
    def check_purpose(cls, purpose: Union[str, float]) -> None:
        if purpose not in PURPOSES:
            _kappa(purpose)

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        if not 0 <= self.kappa <= MOST:
            raise ValueError(f"kappa must be from 0 to {MOST:g}, got {self.kappa}")
        variance = layer_two_variance(target) if self.variance is None else self.variance
        if not variance >= 1:
            raise ValueError(f"the layer-2 variance must be at least 1 (plain SIREN), got {variance}")
        wanted = self.kappa * target.omega
        s1 = math.sqrt(2.0 * (variance - 1.0) / network.width) if network.depth > 1 else 0.0
        own = (network.first_omega_0 / network.dimensions) ** 2 / 3.0
        squared = (wanted / band_gain(network, s1)) ** 2 - own
        if squared > 0:
            return NoiseScales(math.sqrt(squared), s1)
        if initial_band(network) >= wanted:
            return NoiseScales(0.0, 0.0)
        low, high = 0.0, s1
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if initial_band(network, 0.0, middle) < wanted else (low, middle)
        return NoiseScales(0.0, high)


LAWS: Registry[Type[Law]] = Registry(
    "law",
    "winner_ns.laws",
    {
        "matching": MatchingLaw,
        "paper": PaperLaw,
        "reference-code": ReferenceCodeLaw,
        "explicit": ExplicitLaw,
        "fresh": "winner_ns.spectrum.rival_laws:FreshLaw",
        "gradient-control": "winner_ns.spectrum.rival_laws:GradientControlLaw",
        "vi3nr": "winner_ns.spectrum.rival_laws:Vi3nrLaw",
        "weight-scaling": "winner_ns.spectrum.rival_laws:WeightScalingLaw",
    },
    base=Law,
)
"""Every law by the name that flags and files take; `LAWS[name].source` says where it comes from."""


def register_law(name: str, law: Union[Type[Law], str]) -> None:
    """Adds a law, which flags, comparisons and benchmarks then know by its name.

    Args:
        name: letters, digits, - and _.
        law: a subclass of `winner_ns.Law`, or "module:name" of one.

    Raises:
        ValueError: another law has the name, or it is no name.
        TypeError: not a subclass of Law.
    """
    LAWS.add(name, law)


def kappa_of(purpose: Optional[Union[str, float]], target: TargetSpectrum, weights: int) -> float:
    """The kappa that a purpose stands for.

    Args:
        purpose: one of PURPOSES, or kappa itself, from 0 to MOST; None: the target's own, or else its kind's usual one.
            "interpolate" means no noise where the spectrum is
            too bright to interpolate (`TargetSpectrum.bright`): that is best at withheld samples, and useless at the
            fitted ones. "denoise" is the kind's share of the centroid frequency without noise (`denoising_kappa`).
        target: what is fitted.
        weights: of the field.

    Raises:
        ValueError: neither.
    """
    if purpose is None:
        return kappa_of(KINDS[target.kind].usual_purpose, target, weights) if target.kappa is None else target.kappa
    if purpose == "interpolate":
        return 0.0 if target.bright else INTERPOLATING_KAPPA
    if purpose == "fit":
        return fitting_kappa(target, weights)
    if purpose == "denoise":
        # What has no noise any more is to be fitted.
        cleaned = target.denoised is None and KINDS[target.kind].denoising is not None
        return fitting_kappa(target, weights) if cleaned else denoising_kappa(target)
    return _kappa(purpose)


def _kappa(purpose: Union[str, float]) -> float:
    """The number that a purpose is."""
    try:
        kappa = float(purpose)
    except ValueError:
        kappa = math.nan
    if not 0 <= kappa <= MOST:
        names = ", ".join(PURPOSES)
        raise ValueError(f"the purpose must be one of {names} or a number from 0 to {MOST:g}, got {purpose!r}")
    return kappa


def fitting_kappa(target: TargetSpectrum, weights: int) -> float:
    """The kappa that fits the samples best: the more weights P a value has, the nearer the band comes to Nyquist.

    kappa = (Nyquist/Omega)^alpha with alpha = 0.1 + 0.3 ln(P/N), within 0 … 1, for N values, which is the number of
    samples times that of channels (docs/spectrum.md).
    1 where training draws its samples without end, and where there is no grid.
    """
    if target.samples is None or not math.isfinite(target.nyquist) or target.omega <= 0:
        return 1.0
    alpha = min(max(0.1 + 0.3 * math.log(weights / (target.samples * target.channels)), 0.0), 1.0)
    return max(target.nyquist / target.omega, 1.0) ** alpha


def between_of(purpose: Optional[Union[str, float]]) -> str:
    """What fields are trained on between the samples by the law matching, beside them: kriging, or none.

    Estimates keep a field from ringing there. Fields that are for the samples alone, or whose band is given as a
    number, go without.
    """
    return "kriging" if purpose in (None, "interpolate") else "none"


def denoising_kappa(target: TargetSpectrum) -> float:
    """The kappa that makes the band the kind's share of the centroid frequency of what noise leaves of the samples
    (`winner_ns.spectrum.denoised`): omega is that with the noise, which is brighter.

    Raises:
        ValueError: there are no samples that noise could be on.
    """
    defaults = KINDS[target.kind].denoising
    if defaults is None:
        raise ValueError(f"the purpose denoise is for samples on a grid, not for {KINDS[target.kind].plural}")
    if defaults.kappa == 0 or target.denoised is None or target.omega <= 0:
        return 0.0
    return defaults.kappa * target.denoised() / target.omega


def denoising_decay(target: TargetSpectrum, weights: int) -> float:
    """Adam's decay of the weights that suits the purpose denoise: the number of weights that a value has, at most the
    kind's own; a field that has fewer of them cannot fit much noise, and is blurred by more decay.

    Args:
        target: what is fitted.
        weights: of the field.
    """
    defaults = KINDS[target.kind].denoising
    if defaults is None:
        return 0.0
    values = (target.samples or 0) * target.channels
    return min(defaults.weight_decay, weights / values) if values else defaults.weight_decay
