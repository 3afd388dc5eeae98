"""The names that a field's plan may take, as types that command lines show: they know what other packages add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from winner_ns.fields.families import FAMILIES
from winner_ns.fitting.classical_denoisers import DENOISERS
from winner_ns.fitting.pseudo_samples import BETWEEN
from winner_ns.kinds import KINDS
from winner_ns.shape_losses import SHAPE_LOSSES
from winner_ns.spectrum.laws import LAWS

if TYPE_CHECKING:
    FamilyName = str
    LawName = str
    KindName = str
    BetweenName = str
    DenoiserName = str
    ShapeLossName = str


def __getattr__(name: str) -> Any:
    # Looked up when a command line is made, as the tables may still grow when this module is imported.
    if name == "FamilyName":
        return Literal[tuple(FAMILIES)]
    if name == "LawName":
        return Literal[tuple(LAWS)]
    if name == "KindName":
        return Literal[("auto", *KINDS)]
    if name == "BetweenName":
        return Literal[BETWEEN]
    if name == "DenoiserName":
        return Literal[DENOISERS]
    if name == "ShapeLossName":
        return Literal[tuple(SHAPE_LOSSES)]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
