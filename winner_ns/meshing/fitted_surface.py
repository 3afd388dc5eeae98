"""The surface of a fitted shape as a triangle mesh in the unit cube."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.fields.files import LoadedField
from winner_ns.meshing.extraction import LevelSet, extract_level_set
from winner_ns.progress import Report, silent

TRUSTED = {"distance": 2.5, "occupancy": 4.0, "eikonal": 2.5}
"""By loss, times the scale of tanh(distance / scale): further away, the distance drowns in what the fit leaves. (Fitted
signs are no distances; near the surface they change as fast as the field can.)"""


def extract_unit_mesh(
    loaded: LoadedField, resolution: int = 256
) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The zero level set in the unit cube, by marching cubes on a grid that is evaluated near the surface only.

    Args:
        loaded: a fitted shape.
        resolution: grid points along each axis, spanning [-1, 1].

    Returns:
        Vertices (float64, unit cube) and faces (int64, counter-clockwise seen from outside); both empty where the
        field has no zero level set. The mesh is closed: the cube's walls count as outside.
    """
    found = fitted_level_set(loaded, resolution, 0.0, -np.ones(3), np.ones(3), silent)
    return found.vertices, found.faces


def fitted_level_set(
    loaded: LoadedField, resolution: int, level: float, low: np.ndarray, high: np.ndarray, report: Report
) -> LevelSet:
    """The level set of a fitted shape within a box of the unit cube."""
    trusted = TRUSTED[fitted_loss(loaded)] * loaded.description["target"]["distance_scale"]
    return extract_level_set(lambda x: loaded.unit_distance(x) - level, low, high, resolution, trusted, report)


def fitted_loss(loaded: LoadedField) -> str:
    """What a shape was fitted by: distance, occupancy or eikonal."""
    return loaded.description["target"].get("loss", "distance")
