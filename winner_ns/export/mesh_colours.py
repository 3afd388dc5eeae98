"""The colours that a fitted shape's original has, where that is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
from jaxtyping import Float, UInt8

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.fit import FittedField
from winner_ns.fitting.run import original_path
from winner_ns.progress import Report, silent
from winner_ns.reading import check_sort
from winner_ns.signals.shape import ShapeSignal
from winner_ns.signals.surface_colours import SurfaceColours, colours_of_file

_WITHOUT = (".stl", ".npy", ".npz")
"""Formats of shapes that have no colours, or none that are read."""


def original_colours(
    loaded: LoadedField,
    vertices: Float[np.ndarray, "v 3"],
    original: Optional[Path] = None,
    report: Report = silent,
) -> Tuple[Optional[UInt8[np.ndarray, "v 3"]], List[str]]:
    """Colours (8-bit sRGB) of places near a fitted shape's surface, those of its original at the nearest places.

    A field knows distances alone: colours are read where the original lies, or taken from the mesh in memory that the
    field was just fitted to.

    Args:
        loaded: a fitted shape.
        vertices: the places, in the unit cube.
        original: where the original is now; None: where it was.
        report: is told about the progress.

    Returns:
        The colours, None where there are none; and a line for what is missing of them.

    Raises:
        SignalError: an original that is named cannot be read, or is another one.
    """
    if original is None:
        fitted_to = loaded.original if isinstance(loaded, FittedField) else None
        if isinstance(fitted_to, ShapeSignal) and fitted_to.colours is not None:
            return fitted_to.colours.at(vertices, report), []
        had = loaded.description.data or loaded.signal.get("coloured")
        if not had or loaded.signal["source"] == "distances":
            return None, []
    try:
        source = original or original_path(loaded.description)
        if source.suffix.lower() in _WITHOUT:
            return None, []
        if check_sort(source) is None:
            raise SignalError(source, "is not there", "name its place by --data")
        report(f"reading the colours of {source.name}", 0, 1)
        colours, missing = colours_of_file(source, np.array(loaded.signal["center"]), loaded.signal["scale"])
    except SignalError as error:
        if original is not None:
            raise
        return None, [f"without the original's colours, if it has some: {error}"]
    if colours is None:
        return None, list(missing)
    return colours.at(vertices, report), list(missing)


def colours_of_shape(shape: ShapeSignal) -> Optional[SurfaceColours]:
    """The colours of a shape that is at hand; None where it has none, or none that can be read."""
    if shape.colours is not None or shape.in_memory or shape.source == "distances":
        return shape.colours
    if shape.path.suffix.lower() in _WITHOUT:
        return None
    try:
        return colours_of_file(shape.path, shape.center, shape.scale)[0]
    except SignalError:
        return None
