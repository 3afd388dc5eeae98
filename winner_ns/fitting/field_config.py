"""What networks are made of, and the law that their initial noise follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Literal, Optional, Union

Family = Literal["winner", "siren", "finer", "wire", "gauss", "relu-pe", "rff", "hash-grid"]


@dataclass
class FieldConfig:
    """The coordinate network."""

    family: Family = "winner"
    """winner: SIREN with noise adapted to the target; siren: plain; the others with their published defaults."""
    width: Optional[int] = None
    """Neurons of every hidden layer; None: the kind's default (256)."""
    depth: Optional[int] = None
    """Number of hidden layers, the first one included; None: the kind's default (4)."""
    omega_0: float = 30.0
    """Frequency factor of sine layers (winner, siren)."""
    first_omega_0: Optional[float] = None
    """Frequency factor of the first sine layer; None: omega_0."""
    options: Dict[str, Union[int, float, str]] = field(default_factory=dict)
    """Further settings of the family's class by name, e.g. "features 64" for rff."""


@dataclass
class AdaptedFieldConfig:
    """A network and the law that its initial noise follows: of every model's config."""

    field: FieldConfig = field(default_factory=FieldConfig)
    """The coordinate network."""
    law: Literal["matching", "paper", "reference-code", "explicit"] = "matching"
    """How s0 and s1 follow from the target's spectrum: matching (initial band = kappa times the centroid frequency),
    paper (arXiv 2509.12980), reference-code (its authors' code), explicit (s0 and s1 as given)."""
    purpose: Optional[str] = None
    """kappa of the law matching: interpolate (0.5, best between the samples; plain SIREN where the spectrum is too
    bright for that), fit (1, best at the samples), memorise (2, for small signals) or a number. None: 0.5; shapes 4,
    fields learnt from photographs 0.3."""
    s0: Optional[float] = None
    """Noise scale of layer 1, for the law explicit."""
    s1: Optional[float] = None
    """Noise scale of layer 2, for the law explicit."""
