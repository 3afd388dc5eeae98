"""How pre-activations are distributed over neurons and points, and what theory says of sine networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from winner_ns.analysis.sampled import SampledTarget
from winner_ns.fields.description import Description
from winner_ns.fields.layers import OUTPUT, pre_activations
from winner_ns.spectrum.band import SineNetwork, wide_layers
from winner_ns.spectrum.laws import NoiseScales

POINTS = 4096
BINS = 120
SEED = 0
THEORY_DRAWS = 2**19
"""Random weights that the first layer's theoretical distribution is made of."""


@dataclass(frozen=True)
class Theory:
    """What a fresh, wide sine network's layer is expected to have."""

    std: float
    """Over all neurons and points, with the biases that SIREN has in practice (`wide_layers`)."""
    std_over_points: float
    """Each neuron's mean taken away."""
    paper: Optional[float]
    """As the papers have it, which leave biases out: sqrt(f² + H s1²/2) for layer 2, f further on, f being the law's
    factor, or 1. None for layer 1."""


@dataclass(frozen=True)
class LayerStatistics:
    """The pre-activations of one layer (or the field's values) at points that are uniform in the domain."""

    std: float
    """Over all neurons and points."""
    std_over_points: float
    """Of each neuron's values about the neuron's mean, as root mean square over neurons."""
    edges: Float[np.ndarray, " b1"]
    """Of the histogram's bins."""
    histogram: Float[np.ndarray, " b"]
    """Density over neurons and points; integrates to the share that lies within the edges, nearly 1."""
    theory: Optional[Theory] = None
    expected: Optional[Float[np.ndarray, " b"]] = None
    """The histogram that theory gives for wide layers."""


def measure_statistics(
    network: nn.Module, target: SampledTarget, description: Optional[Description] = None
) -> Dict[str, LayerStatistics]:
    """The statistics of all layers, by name.

    Args:
        network: a field of any family.
        target: says where the domain is.
        description: of a fresh field, to hold it against theory if it is a sine network; None for trained ones.
    """
    extent = torch.tensor(target.half_extent, dtype=torch.float32)
    points = torch.rand((POINTS, len(extent)), generator=torch.Generator().manual_seed(SEED)) * 2.0 - 1.0
    layers = pre_activations(network, points * extent)
    measured = {}
    for name, z in layers.items():
        values = z.double()
        spread = float(values.var(dim=0, correction=0).mean().sqrt())
        deviation = float(values.std(correction=0))
        low, high = np.quantile(values.numpy(), [0.0005, 0.9995])
        margin = max(0.05 * (high - low), 1e-12)
        histogram, edges = np.histogram(values.numpy(), BINS, (low - margin, high + margin))
        histogram = histogram / (values.numel() * np.diff(edges))
        measured[name] = LayerStatistics(deviation, spread, edges, histogram)
    if description is not None and _sine_network(description) is not None:
        measured = _with_theory(measured, description, target)
    return measured


def layer_theory(description: Description, half_extent: Float[np.ndarray, " d"]) -> Dict[str, Theory]:
    """What theory says of each layer of a fresh sine network.

    Layer 1 is omega_0 (W x + b) with W ~ f U(±1/d) + N(0, (s0/divisor)²) and b ~ g U(±1/sqrt(d)), where f and g are the
    law's factors (1, but for a few laws); x is uniform in the box.

    Raises:
        ValueError: the field is no sine network.
    """
    network = _sine_network(description)
    if network is None:
        raise ValueError(f"there is no theory of the family {description.network.family}")
    made = _noise(description)
    of_weights, of_biases = _first_factors(made)
    per_axis = float((np.asarray(half_extent) ** 2).sum()) / 3.0  # E|x|²
    divisor = made.first_layer_divisor or network.first_omega_0
    weights = (of_weights**2 / (3.0 * network.dimensions**2) + (made.s0 / divisor) ** 2) * per_axis
    biases = of_biases**2 / (3.0 * network.dimensions)
    omega = network.first_omega_0
    theory = {"layer 1": Theory(omega * math.sqrt(weights + biases), omega * math.sqrt(weights), None)}
    for i, layer in enumerate(wide_layers(network, made.s1, made.factors, made.bias_factors), start=2):
        factor = 1.0 if made.factors is None else made.factors[i - 1]
        paper = math.sqrt(factor**2 + (network.width * made.s1**2 / 2.0 if i == 2 else 0.0))
        theory[f"layer {i}"] = Theory(math.sqrt(layer.variance), math.sqrt(layer.varying), paper)
    return theory


def _with_theory(
    measured: Dict[str, LayerStatistics], description: Description, target: SampledTarget
) -> Dict[str, LayerStatistics]:
    theory = layer_theory(description, np.asarray(target.half_extent))
    result = {}
    for name, layer in measured.items():
        if name == OUTPUT:
            result[name] = layer
            continue
        middle = (layer.edges[1:] + layer.edges[:-1]) / 2.0
        if name == "layer 1":
            drawn = _first_layer_draws(description, np.asarray(target.half_extent))
            expected = np.histogram(drawn, layer.edges)[0] / (len(drawn) * np.diff(layer.edges))
        else:
            std = theory[name].std
            expected = np.exp(-((middle / std) ** 2) / 2.0) / (std * math.sqrt(2.0 * math.pi))
        result[name] = LayerStatistics(
            layer.std, layer.std_over_points, layer.edges, layer.histogram, theory[name], expected
        )
    return result


def _first_layer_draws(description: Description, half_extent: np.ndarray) -> Float[np.ndarray, " n"]:
    """Values of the first layer at random points with random weights: the products have no handy density."""
    network = _sine_network(description)
    assert network is not None
    made = _noise(description)
    of_weights, of_biases = _first_factors(made)
    generator, d = np.random.default_rng(SEED), network.dimensions
    x = generator.uniform(-1.0, 1.0, (THEORY_DRAWS, d)) * half_extent
    w = generator.uniform(-1.0 / d, 1.0 / d, (THEORY_DRAWS, d)) * of_weights
    w += generator.normal(0.0, made.s0 / (made.first_layer_divisor or network.first_omega_0), (THEORY_DRAWS, d))
    b = generator.uniform(-1.0, 1.0, THEORY_DRAWS) / math.sqrt(d) * of_biases
    return network.first_omega_0 * ((w * x).sum(axis=1) + b)


def _sine_network(description: Description) -> Optional[SineNetwork]:
    made_of = description.network
    return made_of.family_class.sine_network(made_of.in_dim, made_of.settings)


def _noise(description: Description) -> NoiseScales:
    """What the field's fresh weights were given."""
    report = description.spectrum
    if report is None or not description.network.family_class.takes_noise:
        return NoiseScales(0.0, 0.0)
    return NoiseScales(report.s0, report.s1, report.first_layer_divisor, report.factors, report.bias_factors)


def _first_factors(made: NoiseScales) -> Tuple[float, float]:
    """Of the first layer's weights and biases."""
    of_weights, of_biases = (1.0 if values is None else values[0] for values in (made.factors, made.bias_factors))
    return of_weights, of_biases
