"""Points of a fitted shape's level set: moved onto it, and which way it faces there."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from winner_ns.fields.files import LoadedField
from winner_ns.fields.input_gradient import value_and_gradient
from winner_ns.shape_losses import shape_loss

STEPS = 6
TOLERANCE = 1e-4
"""Of a cell: closer to the level set, a point stays where it is."""
AT_THE_WALL = 0.02
"""Of a cell: points this close to the box's walls lie where the surface is closed, not on the level set."""
POINTS_AT_A_TIME = 2**18


def project(
    loaded: LoadedField,
    level: float,
    points: Float[np.ndarray, "n 3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
    spacing: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "n 3"]:
    """Points near a level set, moved onto it by Newton steps along the gradient.

    A step that leads no closer is halved. No point ends further than a cell from where it was, or out of the box;
    those at its walls stay.

    Args:
        loaded: a fitted shape.
        level: of its distance, in units of the unit cube.
        points: float64, unit cube.
        low, high: corners of the box in which the surface was extracted.
        spacing: of its grid.
    """
    moved = points.copy()
    free = np.flatnonzero(~_at_walls(points, low, high, spacing).any(axis=1))
    for start in range(0, len(free), POINTS_AT_A_TIME):
        part = free[start : start + POINTS_AT_A_TIME]
        moved[part] = _project(loaded, level, points[part], low, high, float(spacing.min()))
    return moved


def _project(
    loaded: LoadedField, level: float, points: np.ndarray, low: np.ndarray, high: np.ndarray, cell: float
) -> np.ndarray:
    moved = points.copy()
    here, gradient = _distance_and_gradient(loaded, level, points)
    share = np.ones(len(points))
    for _ in range(STEPS):
        active = np.flatnonzero(np.abs(here) > TOLERANCE * cell)
        if not len(active):
            break
        slope = np.maximum((gradient[active] ** 2).sum(axis=1), 1e-12)
        trial = moved[active] - (share[active] * here[active] / slope)[:, None] * gradient[active]
        way = trial - points[active]
        length = np.linalg.norm(way, axis=1, keepdims=True)
        trial = points[active] + way * np.minimum(1.0, cell / np.maximum(length, 1e-12))
        trial = np.clip(trial, low, high)
        there, gradient_there = _distance_and_gradient(loaded, level, trial)
        closer = np.abs(there) < np.abs(here[active])
        share[active] = np.where(closer, 1.0, share[active] / 2)
        active = active[closer]
        moved[active], here[active], gradient[active] = trial[closer], there[closer], gradient_there[closer]
    return moved


def outward_normals(
    loaded: LoadedField,
    points: Float[np.ndarray, "n 3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
    spacing: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "n 3"]:
    """Unit vectors (float32) along which the distance grows at points of a level set, or out of the box where that
    closes the surface; zero where the field has no gradient.

    Args:
        loaded: a fitted shape.
        points: unit cube.
        low, high, spacing: as in `project`.
    """
    normals = np.empty((len(points), 3), dtype=np.float32)
    for start in range(0, len(points), POINTS_AT_A_TIME):
        part = torch.from_numpy(points[start : start + POINTS_AT_A_TIME].astype(np.float32))
        normals[start : start + len(part)] = loaded.unit_normals(part).numpy()
    at_walls = _at_walls(points, low, high, spacing)
    closing = at_walls.any(axis=1)
    outward = at_walls[closing] * np.where(points[closing] > (low + high) / 2, 1.0, -1.0)
    normals[closing] = outward / np.linalg.norm(outward, axis=1, keepdims=True)
    return normals


def _at_walls(points: np.ndarray, low: np.ndarray, high: np.ndarray, spacing: np.ndarray) -> Bool[np.ndarray, "n 3"]:
    return (points < low + AT_THE_WALL * spacing) | (points > high - AT_THE_WALL * spacing)


def _distance_and_gradient(loaded: LoadedField, level: float, points: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """How far a level is, and the gradient of that: [n] and [n, 3], float64."""
    values, gradients = value_and_gradient(loaded.network, torch.from_numpy(points.astype(np.float32)))
    # In double precision, so that a level is met as well as the network can say where it is.
    values, gradients = values.double(), gradients.double()
    target = loaded.description.target
    if shape_loss(target).squashed:
        squashed, scale = values.clamp(-1 + 1e-6, 1 - 1e-6), target["distance_scale"]
        values, gradients = scale * torch.atanh(squashed), scale * gradients / (1 - squashed**2)
    return values[:, 0].numpy() - level, gradients.numpy()
