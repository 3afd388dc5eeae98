"""Coordinate networks R^d -> R^c as plain torch modules, one file a family."""

from winner_ns.fields.families import FAMILIES, build_field, family_class
from winner_ns.fields.mean_squared_error import evaluate, mean_squared_error
from winner_ns.fields.siren import SineLayer, Siren
from winner_ns.fields.winner_init import winner_init

__all__ = [
    "FAMILIES",
    "SineLayer",
    "Siren",
    "build_field",
    "evaluate",
    "family_class",
    "mean_squared_error",
    "winner_init",
]
