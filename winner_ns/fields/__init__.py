"""Coordinate networks R^d -> R^c as plain torch modules, one file a family."""

from winner_ns.fields.families import FAMILIES, build_field, family_class, register_family
from winner_ns.fields.field import Field, FieldTask
from winner_ns.fields.mean_squared_error import evaluate, mean_squared_error
from winner_ns.fields.sine_layer import SineLayer
from winner_ns.fields.siren import Siren
from winner_ns.fields.winner_init import winner_init

__all__ = [
    "FAMILIES",
    "Field",
    "FieldTask",
    "SineLayer",
    "Siren",
    "build_field",
    "evaluate",
    "family_class",
    "mean_squared_error",
    "register_family",
    "winner_init",
]
