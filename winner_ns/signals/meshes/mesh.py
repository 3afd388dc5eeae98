"""What every reader of a mesh format gives back."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

import numpy as np
from jaxtyping import Float, Int

from winner_ns.signals.meshes.colours import MeshColours


class MeshFile(NamedTuple):
    """What a mesh file holds; a scene is one mesh, its parts where they stand. Nothing is merged or repaired."""

    vertices: Float[np.ndarray, "v 3"]
    """float64, in the file's units; without faces, points."""
    faces: Int[np.ndarray, "f 3"]
    """int64 triangles, into which larger faces are split; none in a file of points alone."""
    normals: Optional[Float[np.ndarray, "v 3"]]
    """The vertices' normals, of points alone."""
    notes: List[str]
    """What was left out or taken as something, one line each."""
    colours: Optional[MeshColours] = None
    """Where they are asked for, and there."""
    colour_notes: Sequence[str] = ()
    """What could not be read of them, one line each."""


def text_numbers(text: bytes) -> Optional[Float[np.ndarray, " n"]]:
    """The numbers that stand in a text, apart by white space; None where something else does."""
    import warnings

    with warnings.catch_warnings():
        # numpy says by a deprecation that it stopped early.
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def words_per_line(text: bytes) -> Int[np.ndarray, " lines"]:
    """How many words, apart by white space, each line has; lines end with a line feed."""
    letters = np.frombuffer(text + b"\n", np.uint8)
    space = letters <= 32
    begins = ~space
    begins[1:] &= space[:-1]
    ends = np.flatnonzero(letters == 10)
    return np.diff(np.searchsorted(np.flatnonzero(begins), ends), prepend=0)
