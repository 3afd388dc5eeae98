"""The families of fields, by the names that flags and files take."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Type, Union, cast

import torch

from winner_ns.fields.field import Field
from winner_ns.registry import Registry

FAMILIES: Registry[Type[Field]] = Registry(
    "family",
    "winner_ns.families",
    {
        "winner": "winner_ns.fields.winner:Winner",
        "siren": "winner_ns.fields.siren:Siren",
        "finer": "winner_ns.fields.finer:Finer",
        "wire": "winner_ns.fields.wire:Wire",
        "gauss": "winner_ns.fields.gauss:Gauss",
        "relu-pe": "winner_ns.fields.relu_pe:ReluPE",
        "rff": "winner_ns.fields.rff:RandomFourierFeatures",
        "hash-grid": "winner_ns.fields.hash_grid:HashGrid",
    },
    base=Field,
)
"""Name -> class, or where it is."""

MANY_WEIGHTS = 2**24
"""Of a field that is built to look at it: 64 MiB."""
FEW_WEIGHTS = 2**20
"""Of one that is built whatever is known of it: 4 MiB."""


def register_family(name: str, family: Union[Type[Field], str]) -> None:
    """Adds a family of fields, which flags, files, comparisons and benchmarks then know by its name.

    Args:
        name: letters, digits, - and _.
        family: a subclass of `winner_ns.Field`, or "module:name" of one.

    Raises:
        ValueError: another family has the name, or it is no name.
        TypeError: not a subclass of Field.
    """
    FAMILIES.add(name, family)


def family_class(family: str) -> Type[Field]:
    """The class of a family.

    Raises:
        ValueError: an unknown name.
    """
    if family not in FAMILIES:
        raise ValueError(f"unknown field family {family!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[family]


def settings_of(family: str) -> List[str]:
    """Names of the settings that a family's fields are built with.

    Raises:
        ValueError: an unknown name.
    """
    return family_class(family).setting_names()


def build_field(
    family: str,
    in_dim: int,
    out_dim: int,
    settings: Optional[Dict[str, Any]] = None,
    generator: Optional[torch.Generator] = None,
) -> Field:
    """A fresh field of a family.

    >>> import torch, winner_ns
    >>> finer = winner_ns.build_field("finer", 2, 3, {"width": 64}, torch.Generator().manual_seed(0))
    >>> finer(torch.zeros(5, 2)).shape
    torch.Size([5, 3])

    Args:
        family: one of FAMILIES. "winner" gives a plain sine network that `winner_init` is yet to be applied to.
        in_dim: number of coordinates.
        out_dim: number of values.
        settings: keyword arguments of the family's class; what is missing keeps the published default.
        generator: source of all randomness.

    Raises:
        ValueError: an unknown family, or settings that it refuses.
    """
    # Its keyword arguments are the family's own.
    constructor = cast(Callable[..., Field], family_class(family))
    try:
        return constructor(in_dim, out_dim, **(settings or {}), generator=generator)
    except TypeError as error:
        raise ValueError(f"{family}: {error}") from error


def outline(
    family: str,
    in_dim: int,
    out_dim: int,
    settings: Optional[Dict[str, Any]] = None,
    weights: int = MANY_WEIGHTS,
) -> Field:
    """A field as `build_field` makes it, to look at its settings and the shapes of its weights alone: a large one takes
    no memory.

    Args:
        family, in_dim, out_dim, settings: as `build_field`.
        weights: that it should have, as far as is known: one that may have many more takes no memory either.

    Raises:
        ValueError: as `build_field`.
    """
    cls, settings = family_class(family), settings or {}
    if cls.most_weights(in_dim, out_dim, settings) <= min(max(4 * weights, FEW_WEIGHTS), MANY_WEIGHTS):
        return build_field(family, in_dim, out_dim, settings)
    # What torch needs for tensors without memory takes a second to import.
    with torch.device("meta"):
        return build_field(family, in_dim, out_dim, settings)
