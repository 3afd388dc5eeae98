"""WINNER: weight initialisation with noise, adapted to the target's spectrum.

Chandravamsi et al.: Spectral Bottleneck in Sinusoidal Representation Networks: Noise is All You Need, arXiv
2509.09719, and Improving Accuracy and Efficiency of Implicit Neural Representations: Making SIREN a WINNER, arXiv
2509.12980. A SIREN that begins like this is called SIREN² there.
"""

from __future__ import annotations

from typing import Optional, Sequence

import torch

from winner_ns.fields.field import Field
from winner_ns.fields.sine_layer import SineLayer


@torch.no_grad()
def scale_layers(
    field: Field, factors: Optional[Sequence[float]] = None, bias_factors: Optional[Sequence[float]] = None
) -> Field:
    """Multiplies a fresh field's weights and biases by a number a layer, in place and before any noise, as other
    initialisations than SIREN's ask for (`winner_ns.spectrum.rival_laws`).

    Args:
        field: a freshly initialised Siren, or a field of another family with `layers` and an `output`.
        factors: of the weights; each sine layer's, and the output's last. None: 1.
        bias_factors: of the biases.

    Returns:
        The field.

    Raises:
        ValueError: as many factors as there are no layers, or a field without these.
    """
    if factors is None and bias_factors is None:
        return field
    layers: Sequence[SineLayer] = getattr(field, "layers", ())
    output = getattr(field, "output", None)
    if not layers or output is None:
        raise ValueError("only fields of sine layers and an output can be scaled layer by layer")
    for name, numbers in (("weight", factors), ("bias", bias_factors)):
        if numbers is None:
            continue
        if len(numbers) != len(layers) + 1:
            raise ValueError(f"{len(numbers)} factors for {len(layers)} layers and an output")
        for layer, number in zip((*layers, output), numbers, strict=True):
            getattr(layer, name).mul_(number)
    return field


@torch.no_grad()
def winner_init(
    field: Field,
    s0: float,
    s1: float,
    generator: Optional[torch.Generator] = None,
    first_layer_divisor: Optional[float] = None,
) -> Field:
    """Adds Gaussian noise to the weights of layers 1 and 2, in place; everything else stays as it is.

    >>> import torch, winner_ns
    >>> field = winner_ns.winner_init(winner_ns.Siren(2, 1, width=64), s0=30.0, s1=0.1)
    >>> field.noise_scales
    (30.0, 0.1)

    W_1 += N(0, (s0/omega_0)²), W_2 += N(0, (s1/omega_0)²), with the omega_0 of the layer in question, so that s0 and
    s1 are what reaches the pre-activation. At s0 = s1 = 0 the field stays a plain SIREN bit for bit.

    Args:
        field: a freshly initialised Siren, or a field of another family with `layers` that have a weight and an
            omega_0; of at least two of them (one, where s1 = 0).
        s0: noise scale of layer 1, in radians per unit of coordinate, >= 0.
        s1: noise scale of layer 2, >= 0.
        generator: source of the noise, on the parameters' device; None is torch's global one.
        first_layer_divisor: what s0 is divided by instead of the first layer's omega_0 (the authors' code takes the
            hidden layers' omega_0).

    Returns:
        The field.

    Raises:
        ValueError: negative scales, or s1 > 0 with a single sine layer.
        RuntimeError: the noise has been added to this field already.
    """
    if not (s0 >= 0 and s1 >= 0):
        raise ValueError(f"noise scales must not be negative, got s0 = {s0}, s1 = {s1}")
    layers: Sequence[SineLayer] = field.layers  # pyright: ignore[reportAssignmentType] (torch knows no attributes)
    if s1 > 0 and len(layers) < 2:
        raise ValueError("s1 > 0 needs a field of at least two sine layers")
    if field.noise_scales is not None:
        raise RuntimeError(f"the noise {field.noise_scales} has been added to this field already; build a fresh one")
    first_divisor = layers[0].omega_0 if first_layer_divisor is None else first_layer_divisor
    for layer, scale, divisor in zip(layers, (s0, s1), (first_divisor, layers[-1].omega_0)):
        if scale > 0:
            noise = torch.empty_like(layer.weight).normal_(0.0, scale / divisor, generator=generator)
            layer.weight.add_(noise)
    field.noise_scales = (float(s0), float(s1))
    field.noise_added(generator)
    return field
