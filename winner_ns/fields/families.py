"""The families of fields, by the names that the command line takes."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Optional, Tuple, Type

import torch
from torch import nn

FAMILIES: Dict[str, Tuple[str, str]] = {
    "winner": ("siren", "Siren"),
    "siren": ("siren", "Siren"),
    "finer": ("finer", "Finer"),
    "wire": ("wire", "Wire"),
    "gauss": ("gauss", "Gauss"),
    "relu-pe": ("relu_pe", "ReluPE"),
    "rff": ("rff", "RandomFourierFeatures"),
    "hash-grid": ("hash_grid", "HashGrid"),
}
"""Name -> (module in winner_ns.fields, class). "winner" is a Siren that `winner_init` has been applied to."""


def family_class(family: str) -> Type[nn.Module]:
    """The class of a family.

    Raises:
        ValueError: an unknown name.
    """
    if family not in FAMILIES:
        raise ValueError(f"unknown field family {family!r}; there are {', '.join(FAMILIES)}")
    module, name = FAMILIES[family]
    return getattr(importlib.import_module(f"winner_ns.fields.{module}"), name)


def build_field(
    family: str,
    in_dim: int,
    out_dim: int,
    settings: Optional[Dict[str, Any]] = None,
    generator: Optional[torch.Generator] = None,
) -> nn.Module:
    """A fresh field of a family.

    Args:
        family: one of FAMILIES. "winner" gives a plain Siren that `winner_init` is yet to be applied to.
        in_dim: number of coordinates.
        out_dim: number of values.
        settings: keyword arguments of the family's class; what is missing keeps the published default.
        generator: source of all randomness.

    Raises:
        ValueError: an unknown family, or settings that it refuses.
    """
    cls = family_class(family)
    try:
        return cls(in_dim, out_dim, **(settings or {}), generator=generator)
    except TypeError as error:
        raise ValueError(f"{family}: {error}") from error
