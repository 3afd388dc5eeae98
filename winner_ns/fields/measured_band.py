"""The band that a fresh field of any family has, measured; and the setting that brings it to a target's."""

from __future__ import annotations

import math
from functools import partial
from typing import Callable

import torch

from winner_ns.fields.field import Field
from winner_ns.fields.input_gradient import value_and_gradient

POINTS = 2048
DRAWS = 2
"""Fields of other seeds, over which a band is averaged."""
HALVINGS = 16
"""Of the logarithm of a knob: to a hundredth, from six orders of magnitude."""
LEAST, MOST = 1e-2, 1e6


def measured_band(field: Field, points: int = POINTS, seed: int = 0) -> float:
    """Root-mean-square angular frequency, per axis, of a field's output, in radians per unit of coordinate: the root of
    the mean squared derivative along an axis over the output's variance, at random points of the domain. Of several
    outputs, that of their sum.

    Args:
        field: as it is; that of a fresh sine network in closed form is `initial_band`.
        points: how many.
        seed: of the points.

    Returns:
        It; 0 for a field that is constant, infinity for one that is not finite.
    """
    x = torch.rand(points, field.in_dim, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    was_training = field.training
    field.eval()
    value, gradient = value_and_gradient(field, x.to(next(field.parameters()).device))
    field.train(was_training)
    # On the CPU, as not all devices have double precision.
    variance = float(value.cpu().double().sum(-1).var())
    squared = float(gradient.cpu().double().square().mean())
    if not (math.isfinite(variance) and math.isfinite(squared)):
        return math.inf
    return math.sqrt(squared / variance) if variance > 1e-24 else 0.0


def fresh_band(fresh: Callable[[torch.Generator], Field]) -> float:
    """The measured band of fresh fields, the mean of DRAWS of them.

    Args:
        fresh: source of all randomness -> a fresh field.
    """
    bands = [measured_band(fresh(torch.Generator().manual_seed(draw))) for draw in range(DRAWS)]
    return sum(bands) / len(bands)


def matched_knob(fresh: Callable[[float, torch.Generator], Field], wanted: float) -> float:
    """The knob at which fresh fields have a band, by bisection of its logarithm.

    Args:
        fresh: (knob, source of all randomness) -> a fresh field, whose band grows with the knob.
        wanted: the band, in radians per unit of coordinate.

    Returns:
        The knob, from LEAST to MOST; one of these where no other gives the band.
    """

    low, high = math.log(LEAST), math.log(MOST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        narrow = fresh_band(partial(fresh, math.exp(middle))) < wanted
        low, high = (middle, high) if narrow else (low, middle)
    return math.exp((low + high) / 2)
