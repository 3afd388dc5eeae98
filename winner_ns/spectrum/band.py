"""The band of a fresh sine network: what it can represent before any training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Optional, Sequence


@dataclass(frozen=True)
class SineNetwork:
    """The numbers of a sine network that its initial band depends on."""

    dimensions: int
    """Number of coordinates d."""
    width: int = 256
    depth: int = 4
    """Number of sine layers, the first one included."""
    omega_0: float = 30.0
    first_omega_0: float = 30.0

    def weights(self, channels: int) -> int:
        """How many weights and biases it has, with a linear output of so many values."""
        hidden = (self.dimensions + 1) * self.width + (self.depth - 1) * (self.width + 1) * self.width
        return hidden + (self.width + 1) * channels


@dataclass(frozen=True)
class WideLayer:
    """What the theory of wide networks says of a sine layer after the first one, at the start."""

    variance: float
    """T, of the pre-activations over weights and coordinates."""
    varying: float
    """v, the part of it that is variance over coordinates, T - v being that of the neurons' means."""
    gain: float
    """How much wider the band of the layer's output is than the first layer's."""


def wide_layers(
    network: SineNetwork,
    s1: float,
    factors: Optional[Sequence[float]] = None,
    bias_factors: Optional[Sequence[float]] = None,
) -> List[WideLayer]:
    """The layers 2, 3, … of a fresh network.

    Args:
        network: its numbers.
        s1: noise scale of layer 2.
        factors, bias_factors: what SIREN's own weights and biases are multiplied by, a number a layer
            (`NoiseScales`); None: 1.

    Derivation, for wide layers, whose pre-activations are Gaussian over the weights. Of a layer's outputs h let
    m = E[h²], q the part of m that varies over the coordinates (m - q is E[h h'] at two points far apart), and g the
    mean squared derivative along a coordinate; the squared frequency is g/q. After layer 1, m = q = 1/2.
    Layer l multiplies by weights of total variance a = 2 f² (SIREN's own, times the layer's factor), + H s1² where the
    noise acts (l = 2), and adds a bias of variance c = (omega_0 g)²/(3H), g being its factor. So z has variance
    T = a m + c, and covariance T - v with v = a q at points far apart. For Gaussian z: E[sin² z] = (1 - e^(-2T))/2,
    E[sin z sin z'] = (e^(-v) - e^(-(2T - v)))/2 and E[cos² z] = (1 + e^(-2T))/2. With beta = e^(-2(T - v)) these give
    m' = (1 - e^(-2v) beta)/2, q' = (1 - e^(-2v) beta - e^(-v) (1 - beta))/2, g' = a g (1 + e^(-2v) beta)/2,
    and the squared frequency grows by (v/2)(1 + e^(-2v) beta)/q'. The linear output leaves it as it is.

    That m = q after layer 1 takes its biases for granted, which spread the phases: not much of it is left where the
    first of the bias factors is near 0.
    """
    noise = network.width * s1**2
    q = m = 0.5
    gain_squared = 1.0
    layers = []
    for layer in range(2, network.depth + 1):
        a = 2.0 * (1.0 if factors is None else factors[layer - 1]) ** 2 + (noise if layer == 2 else 0.0)
        c = (network.omega_0 * (1.0 if bias_factors is None else bias_factors[layer - 1])) ** 2 / (3.0 * network.width)
        v = a * q
        beta = math.exp(-2.0 * (c + a * (m - q)))
        damped = math.exp(-2.0 * v) * beta
        # 1 - e^(-2v) beta - e^(-v) (1 - beta), whose terms all but cancel where the weights are small.
        q_next = -(math.expm1(-2.0 * v) * beta + math.expm1(-v) * (1.0 - beta)) / 2.0
        gain_squared *= (v / 2.0) * (1.0 + damped) / q_next
        layers.append(WideLayer(a * m + c, v, math.sqrt(gain_squared)))
        m = (1.0 - damped) / 2.0
        q = q_next
    return layers


def band_gain(
    network: SineNetwork,
    s1: float,
    factors: Optional[Sequence[float]] = None,
    bias_factors: Optional[Sequence[float]] = None,
) -> float:
    """G: how much the layers after the first one widen the band, sigma_out = sigma_1 G(H, s1) (`wide_layers`)."""
    layers = wide_layers(network, s1, factors, bias_factors)
    return layers[-1].gain if layers else 1.0


def initial_band(
    network: SineNetwork,
    s0: float = 0.0,
    s1: float = 0.0,
    factors: Optional[Sequence[float]] = None,
    bias_factors: Optional[Sequence[float]] = None,
) -> float:
    """Root-mean-square angular frequency, per axis, of a fresh network's output, in radians per unit of coordinate.

    sigma_1² = (f first omega_0 / d)²/3 + s0²: the first layer's weights are U(±1/d) times their factor f, plus the
    noise; sigma_out = sigma_1 G(H, s1). The tests hold it to 7 % of what is measured (d = 1, 2, 3), also with factors.

    Args:
        network: its numbers.
        s0, s1: noise scales.
        factors, bias_factors: as for `wide_layers`.
    """
    factor = 1.0 if factors is None else factors[0]
    first = (factor * network.first_omega_0 / network.dimensions) ** 2 / 3.0 + s0**2
    return math.sqrt(first) * band_gain(network, s1, factors, bias_factors)
