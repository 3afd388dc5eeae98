"""A field as it is before training, from a run's description."""

from __future__ import annotations

from typing import Any, Dict

import torch
from torch import nn

from winner_ns.fields.families import build_field
from winner_ns.fields.winner_init import winner_init


def initial_field(description: Dict[str, Any], seed: int) -> nn.Module:
    """The fresh field that a description and a seed stand for, always the same one, bit for bit.

    Args:
        description: a run's: of its keys, network (`describe_field`) and spectrum (the noise of the family winner).
        seed: of the run's random numbers.

    Raises:
        ValueError: a family or settings that cannot be.
    """
    made_of, noise = description["network"], description["spectrum"]
    # A generator of its own keeps other draws out of it.
    generator = torch.Generator().manual_seed(seed)
    field = build_field(made_of["family"], made_of["in_dim"], made_of["out_dim"], made_of["settings"], generator)
    if made_of["family"] == "winner":
        winner_init(field, noise["s0"], noise["s1"], generator, noise["first_layer_divisor"])
    return field
