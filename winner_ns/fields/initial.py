"""A field as it is before training, from a run's description."""

from __future__ import annotations

import torch

from winner_ns.fields.description import Description
from winner_ns.fields.families import build_field
from winner_ns.fields.field import Field
from winner_ns.fields.winner_init import scale_layers, winner_init


def initial_field(description: Description, seed: int) -> Field:
    """The fresh field that a description and a seed stand for, always the same one, bit for bit.

    Args:
        description: of it, the network, and the noise of a family that takes some.
        seed: of the run's random numbers.

    Raises:
        ValueError: a family or settings that cannot be.
    """
    made_of, noise = description.network, description.spectrum
    # A generator of its own keeps other draws out of it.
    generator = torch.Generator().manual_seed(seed)
    field = build_field(made_of.family, made_of.in_dim, made_of.out_dim, made_of.settings, generator)
    if noise is not None:
        scale_layers(field, noise.factors, noise.bias_factors)
    if noise is not None and (field.takes_noise or noise.s0 > 0 or noise.s1 > 0):
        winner_init(field, noise.s0, noise.s1, generator, noise.first_layer_divisor)
    return field
