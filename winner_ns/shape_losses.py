"""What shapes are fitted by, and what follows from it: one row for each loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping


@dataclass(frozen=True)
class ShapeLoss:
    """What is particular to a loss."""

    name: str
    """As flags and files call it."""
    trusted: float
    """Times the scale of tanh(distance / scale): further away than that, the distance drowns in what the fit leaves."""
    well_fitted: float
    """The same: from levels further away, specks come off where the fit is noisy."""
    squashed: bool = True
    """Whether the field gives tanh(distance / scale), and not the distance itself."""
    by_slopes: bool = False
    """Whether it is made of the field's slopes: it needs second derivatives and the surface's normals, no distances."""
    tells_distances: bool = True
    """Whether training says how far the surface is, not only on which side of it a point lies."""


SHAPE_LOSSES: Dict[str, ShapeLoss] = {
    loss.name: loss
    for loss in (
        ShapeLoss("distance", trusted=2.5, well_fitted=1.2),
        # Fitted signs are no distances; near the surface they change as fast as the field can.
        ShapeLoss("occupancy", trusted=4.0, well_fitted=0.0, tells_distances=False),
        ShapeLoss("eikonal", trusted=2.5, well_fitted=math.inf, squashed=False, by_slopes=True),
    )
}


def shape_loss(target: Mapping[str, Any]) -> ShapeLoss:
    """The loss that a shape's field was fitted by.

    Args:
        target: of its description; runs of version 0.1 do not say it.
    """
    return SHAPE_LOSSES[target.get("loss", "distance")]
