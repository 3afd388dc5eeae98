"""Oriented points as small pieces of surface, whose winding number tells inside from outside."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from winner_ns.signals.mesh_repair import WindingNumbers


def surfel_areas(spacing: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """The area that each point stands for, given the distance to its fourth neighbour: four share a disc."""
    return np.pi / 4 * spacing**2


def surfel_windings(
    points: Float[np.ndarray, "p 3"], normals: Float[np.ndarray, "p 3"], spacing: Float[np.ndarray, " p"]
) -> WindingNumbers:
    """The winding numbers of equilateral triangles around the points, in their tangent planes.

    Barill et al. (2018) take points as dipoles. Triangles are not singular, and their tree is several times as fast.
    """
    across = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    along = np.cross(normals, across)
    radius = np.sqrt(surfel_areas(spacing) * 4 / 27**0.5)[:, None]
    corners = [
        points + radius * (np.cos(turn) * across + np.sin(turn) * along) for turn in 2 * np.pi / 3 * np.arange(3)
    ]
    faces = np.arange(3 * len(points), dtype=np.int64).reshape(-1, 3)
    return WindingNumbers(np.stack(corners, axis=1).reshape(-1, 3), faces)
