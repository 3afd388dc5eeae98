"""The surface of a fitted shape as a triangle mesh in the unit cube."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Iterator, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int
from torch import nn

from winner_ns.fields.files import LoadedField
from winner_ns.fields.sample_values import fingerprint
from winner_ns.meshing.extraction import LevelSet, extract_level_set
from winner_ns.progress import Report, silent
from winner_ns.shape_losses import shape_loss

RESOLUTION = 256
"""Grid points along each axis of the meshes of results, figures and pictures, where nothing else is asked for."""
MOST_KEPT = 2**22
"""Faces of the largest surface that is kept for whoever asks next."""


_usual: ContextVar[Optional[int]] = ContextVar("mesh_resolution", default=None)


def mesh_resolution(asked: Optional[int]) -> int:
    """Grid points along an axis: as asked for, else those of `usual_resolution`, else RESOLUTION."""
    return (_usual.get() or RESOLUTION) if asked is None else asked


@contextmanager
def usual_resolution(resolution: int) -> Iterator[None]:
    """Within it, meshes have so many grid points along each axis where nothing else is asked for, but no more than
    RESOLUTION."""
    token = _usual.set(min(resolution, RESOLUTION))
    try:
        yield
    finally:
        _usual.reset(token)


def extract_unit_mesh(
    loaded: LoadedField, resolution: Optional[int] = None
) -> Tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The zero level set in the unit cube, by marching cubes on a grid that is evaluated near the surface only.

    Args:
        loaded: a fitted shape.
        resolution: grid points along each axis, spanning [-1, 1]; None: RESOLUTION.

    Returns:
        Vertices (float64, unit cube) and faces (int64, counter-clockwise seen from outside); both empty where the
        field has no zero level set, and not to be written to. The mesh is closed: the cube's walls count as outside.
    """
    found = fitted_level_set(loaded, mesh_resolution(resolution), 0.0, -np.ones(3), np.ones(3), silent)
    return found.vertices, found.faces


def fitted_level_set(
    loaded: LoadedField, resolution: int, level: float, low: np.ndarray, high: np.ndarray, report: Report
) -> LevelSet:
    """The level set of a fitted shape within a box of the unit cube.

    The last one is kept, as a finished run needs the same one for its figures, its mesh and its picture; its arrays are
    not to be written to.
    """
    global _kept
    target = loaded.description.target
    loss = shape_loss(target)
    trusted = loss.trusted * target["distance_scale"]
    asked = (fingerprint(loaded.network), trusted, loss, resolution, level, low.tobytes(), high.tobytes())
    if _kept is not None and _kept[0]() is loaded.network and _kept[1] == asked:
        return _kept[2]
    found = extract_level_set(lambda x: loaded.unit_distance(x) - level, low, high, resolution, trusted, report)
    if len(found.faces) <= MOST_KEPT:
        found.vertices.setflags(write=False)
        found.faces.setflags(write=False)
        _kept = weakref.ref(loaded.network), asked, found
    return found


_kept: Optional[Tuple[weakref.ref[nn.Module], Tuple[Any, ...], LevelSet]] = None
"""The last surface, and the network and the arguments that it is of."""
