"""The band of fresh fields by its definition, for what formulas say of it."""

from __future__ import annotations

import math
from typing import Callable

import torch
from torch import nn

OUTPUTS = 4


def band_by_definition(fresh: Callable[[torch.Generator], nn.Module], dimensions: int, seeds: int) -> float:
    """rms derivative along an axis over the output's standard deviation, both over all seeds and outputs.

    Args:
        fresh: makes a field of OUTPUTS values, in double precision, from a source of all randomness.
        dimensions: its coordinates.
        seeds: how many fields.
    """
    slopes, variance = 0.0, 0.0
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        field = fresh(generator)
        # Wide enough that what is slower than the interval does not pass for the mean.
        x = (torch.rand(1500, dimensions, generator=generator, dtype=torch.float64) * 20 - 10).requires_grad_()
        output = field(x)
        for k in range(OUTPUTS):
            (slope,) = torch.autograd.grad(output[:, k].sum(), x, retain_graph=True)
            slopes += slope.square().mean().item()
            variance += output[:, k].var().item()
    return math.sqrt(slopes / variance)
