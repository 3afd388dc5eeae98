"""Points in space at which a fitted shape is judged: those where the original says what is inside."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from jaxtyping import Bool, Float

from winner_ns.signals import ShapeSignal


def judged_points(
    signal: ShapeSignal, low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"], count: int, seed: int
) -> Tuple[Float[np.ndarray, "n 3"], Bool[np.ndarray, " n"]]:
    """Points that are uniform in a box, and which of them are inside, as far as that is certain.

    Of a shape that is given by distances at points, those of the box where both bounds that follow from them have the
    same sign, which is proof for exact distances; what is closer to the surface than the samples are to it is left out.
    Where nothing is proved, as by signs alone, the given samples are taken, those in the box.

    Args:
        signal: the original.
        low, high: corners of the box, unit cube.
        count: points in the box, of which these are the ones that can be judged.
        seed: of the points.

    Returns:
        Points, float32, and which of them are inside.
    """
    points = np.random.default_rng(seed).uniform(low, high, (count, 3)).astype(np.float32)
    proved = signal.proved_signs(points)
    if proved.any():
        return points[proved], signal.inside(points[proved], keep_trees=False)
    assert signal.points is not None and signal.distances is not None
    inside = ((signal.points >= low) & (signal.points <= high)).all(axis=1)
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(inside))[:count]
    return signal.points[chosen].astype(np.float32), signal.distances[chosen] < 0
