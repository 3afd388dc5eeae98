"""Initialisations that others have published for sine networks, as laws: what is compared with ours.

Each takes SIREN's own fresh weights (U(±1/d) in the first layer, U(±sqrt(6/H)/omega_0) in all others, biases
U(±1/sqrt(inputs)); Sitzmann et al. 2020) and says what they are multiplied by, or which omega_0 the first layer has.
None adds noise. docs/spectrum.md says what of each was found where, and what had to be assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Tuple

import numpy as np
from jaxtyping import Float

from winner_ns.spectrum.band import SineNetwork
from winner_ns.spectrum.laws import Law, NoiseScales, TargetSpectrum
from winner_ns.spectrum.low_frequencies import LowFrequencies, diagonal_magnitudes


@dataclass(frozen=True)
class WeightScalingLaw(Law):
    """Weight scaling: all weights but the output's are alpha times SIREN's; biases stay.

    W_1 ~ U(±alpha/d), W_l ~ U(±alpha sqrt(6/H)/omega_0) for l = 2 … L (the paper's equation 6), alpha = 2.5 in the
    released code, which fits images. The paper chooses alpha by kind of signal; what it takes for others was not found,
    so that all have 2.5. A number as the purpose is alpha.
    """

    alpha: float = 2.5
    source: ClassVar[str] = "Yeom, Lee, Lee: Fast Training of Sinusoidal Neural Fields, ICLR 2025, arXiv 2410.04779"
    takes: ClassVar[Tuple[str, ...]] = ("purpose",)

    @classmethod
    def chosen(cls, target: TargetSpectrum, weights: int, **given: Any) -> WeightScalingLaw:
        purpose = given.get("purpose")
        return cls() if purpose is None else cls(_number("weight-scaling", "alpha", purpose))

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        return NoiseScales(0.0, 0.0, factors=(self.alpha,) * network.depth + (1.0,))


@dataclass(frozen=True)
class Vi3nrLaw(Law):
    """VI3NR: weights whose pre-activations have the variance sigma_p² in every layer, whatever the activation f.

    Var W = sigma_p²/(M E[f(z)²]) for M inputs and z ~ N(0, sigma_p²). For f = sin, z in radians, E[f²] is
    (1 - e^(-2 sigma_p²))/2 in closed form, where the released code draws it at random. SIREN has Var W = 2/M in these
    units, so that its weights are multiplied by sigma_p/sqrt(1 - e^(-2 sigma_p²)): 1.075 for sigma_p = 1.

    The paper's condition for the gradients, sigma_p² E[f'²]/E[f²] = 1, reads sigma_p² coth(sigma_p²) = 1 for a sine, of
    which only the limit sigma_p = 0 is a solution, where the hidden layers are those of gradient control. sigma_p = 1
    is what SIREN's own weights were meant for. A number as the purpose is sigma_p. The first layer stays SIREN's: the
    released code draws it for the same sigma_p, whose band, sigma_p sqrt(3/d) rad/unit, is below any target's.
    """

    sigma_p: float = 1.0
    """Standard deviation of the pre-activations, radians."""
    source: ClassVar[str] = "VI3NR: Hewa Koneputugodage et al., CVPR 2025, arXiv 2504.19270"
    takes: ClassVar[Tuple[str, ...]] = ("purpose",)

    @classmethod
    def chosen(cls, target: TargetSpectrum, weights: int, **given: Any) -> Vi3nrLaw:
        purpose = given.get("purpose")
        return cls() if purpose is None else cls(_number("vi3nr", "sigma_p", purpose))

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        factor = self.sigma_p / math.sqrt(-math.expm1(-2.0 * self.sigma_p**2))
        return NoiseScales(0.0, 0.0, factors=(1.0,) + (factor,) * network.depth)


@dataclass(frozen=True)
class GradientControlLaw(Law):
    """Gradient control: hidden weights whose gradients neither grow nor fade with depth, biases 0, omega_0 at Nyquist.

    For layers sin(W h + b) with W ~ U(±c_w/sqrt(N)) and b ~ N(0, c_b²), the pre-activations' variance is
    c_w²/6 (1 - e^(-2 sigma_a²)) + c_b² = sigma_a² at its fixed point, and N times the variance of the entries of a
    layer's Jacobian is sigma_g² = c_w²/6 (1 + e^(-2 sigma_a²)). sigma_g = 1 leaves a curve, of which the paper takes
    the end sigma_a = 0: (c_w, c_b) = (sqrt(3), 0). SIREN has c_w = sqrt(6), so that its hidden weights are divided by
    sqrt(2). The output layer is one of these layers, without a division by omega_0: U(±sqrt(3/N)).

    The first layer's omega_0 is Nyquist's, as the paper advises; where there is no grid it stays what it is. omega_0 of
    the hidden layers stays in their sines, as in all fields here, with the weights divided by it: that changes nothing
    of the fresh field, and what Adam makes of it to that of SIREN.
    """

    source: ClassVar[str] = "Combette, Venaille, Pustelnik: A New Initialization to Control Gradients, ICLR 2026, \
arXiv 2512.06427"

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        hidden = network.depth - 1
        on_grid = target.samples is not None and math.isfinite(target.nyquist) and target.nyquist > 0
        return NoiseScales(
            0.0,
            0.0,
            factors=(1.0,) + (math.sqrt(0.5),) * hidden + (network.omega_0 * math.sqrt(0.5),),
            bias_factors=(1.0,) + (0.0,) * (hidden + 1),
            first_omega_0=target.nyquist if on_grid else None,
        )


CANDIDATES: Tuple[float, ...] = tuple(10.0 * number for number in range(1, 21))
"""The omega_0 of the first layer that FreSh chooses from, as published for SIREN."""
NETWORKS = 2
SETS = 5
"""Of outputs of a network, each as many as the target has channels. Outputs of a wide network are independent of each
other, so that 2 networks with 5 sets say what 10 networks would, in a fifth of the time."""
CHUNK = 4096
"""Points at a time: their activations stay in the processor's cache."""


@dataclass(frozen=True)
class FreshLaw(Law):
    """FreSh: the first layer's omega_0 is the one of 20 whose fresh fields have the spectrum nearest to the target's.

    Spectra are those of `LowFrequencies`, with sum 1; the distance of two is Wasserstein's, over the bins' numbers; a
    candidate's is the mean over 10 fresh fields. As the candidates end at 200 rad/unit, 64 cycles over [-1, 1], it is
    for pictures, volumes and videos alone.
    """

    source: ClassVar[str] = "FreSh: Kania et al., Frequency Shifting for Accelerated Neural Representation Learning, \
arXiv 2410.05050"

    def __call__(self, target: TargetSpectrum, network: SineNetwork) -> NoiseScales:
        if target.low_frequencies is None:
            raise ValueError(
                f"the law 'fresh' compares spectra of pictures, volumes and videos and knows no {target.kind} targets; "
                "use the law matching"
            )
        measured = target.low_frequencies()
        if not measured.magnitudes.sum() > 0:
            raise ValueError("the law 'fresh' finds nothing among the target's low frequencies; use the law matching")
        distances = [fresh_distance(measured, network, omega, target.channels) for omega in CANDIDATES]
        return NoiseScales(0.0, 0.0, first_omega_0=CANDIDATES[int(np.argmin(distances))])


def fresh_distance(target: LowFrequencies, network: SineNetwork, first_omega_0: float, channels: int) -> float:
    """Mean distance of fresh fields' spectra to the target's, in bins.

    Args:
        target: what was measured.
        network: the fields' sizes; its own first_omega_0 does not count.
        first_omega_0: of the fields.
        channels: of the target.
    """
    distances = []
    for number in range(NETWORKS):
        # The same draws for each candidate, whose differences then are no chance.
        field = fresh_planes(target, network, first_omega_0, SETS * channels, np.random.default_rng(number))
        for some in np.split(field, SETS, axis=2):
            distances.append(spectrum_distance(target.magnitudes, diagonal_magnitudes(some)))
    return float(np.mean(distances))


def spectrum_distance(one: Float[np.ndarray, " k"], other: Float[np.ndarray, " k"]) -> float:
    """Wasserstein's distance of two spectra that are brought to the sum 1, in bins: the area between their sums."""
    return float(np.abs(np.cumsum(one / one.sum() - other / other.sum())).sum())


def fresh_planes(
    target: LowFrequencies,
    network: SineNetwork,
    first_omega_0: float,
    outputs: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, "h w o"]:
    """A fresh SIREN's values on the grid of a target's last two axes, elsewhere at random.

    Args:
        target: whose grid.
        network: sizes and omega_0.
        first_omega_0: of the first layer.
        outputs: how many values.
        generator: of the weights, and of the place along further axes.
    """
    *leading, height, width = target.half_extent
    place = [np.full(target.shape, generator.uniform(-half, half)) for half in leading]
    lines = [np.linspace(-half, half, n) for half, n in zip((height, width), target.shape, strict=True)]
    points = np.stack([*place, *np.meshgrid(*lines, indexing="ij")], axis=-1).reshape(-1, network.dimensions)
    layers, inputs = [], network.dimensions
    for layer in range(network.depth + 1):
        omega = first_omega_0 if layer == 0 else network.omega_0
        bound = 1.0 / inputs if layer == 0 else math.sqrt(6.0 / inputs) / network.omega_0
        neurons = network.width if layer < network.depth else outputs
        weights = generator.uniform(-bound, bound, (inputs, neurons))
        biases = generator.uniform(-1.0, 1.0, neurons) / math.sqrt(inputs)
        factor = omega if layer < network.depth else 1.0
        layers.append(((factor * weights).astype(np.float32), (factor * biases).astype(np.float32)))
        inputs = network.width
    values = np.empty((len(points), outputs), np.float32)
    for start in range(0, len(points), CHUNK):
        hidden = points[start : start + CHUNK].astype(np.float32)
        for weights, biases in layers[:-1]:
            hidden = hidden @ weights
            hidden += biases
            np.sin(hidden, out=hidden)
        values[start : start + CHUNK] = hidden @ layers[-1][0] + layers[-1][1]
    return values.reshape(*target.shape, outputs)


def _number(law: str, what: str, purpose: Any) -> float:
    """The number that a user gives as the purpose."""
    try:
        number = float(purpose)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= 1e3:
        raise ValueError(f"the purpose of the law {law!r} is {what}, above 0 and at most 1000, got {purpose!r}")
    return number
