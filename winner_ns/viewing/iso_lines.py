"""A signed distance on a plane: inside and outside, and lines of equal distance."""

from __future__ import annotations

from typing import Tuple

import torch
from jaxtyping import Float
from torch import Tensor

ISO_SPACING, LAST_LINE = 0.01, 0.05
"""Distance between two iso-lines of a slice, and how far from the surface they go, as a fitted distance levels off and
says nothing there; in units of the unit cube."""
INSIDE, OUTSIDE, LINE = (0.42, 0.62, 0.87), (0.98, 0.82, 0.55), (0.12, 0.12, 0.14)


def iso_lines(
    distance: Float[Tensor, " m"], pixel: Float[Tensor, " m"]
) -> Tuple[Float[Tensor, "m 3"], Float[Tensor, " m"]]:
    """Colours and opacity of a slice: lines about one pixel wide at multiples of ISO_SPACING, a thick one at zero."""
    inside, apart = distance < 0, distance.abs()
    colour = torch.where(inside[:, None], distance.new_tensor(INSIDE), distance.new_tensor(OUTSIDE))
    colour = colour * (1.0 - 0.3 * (apart / LAST_LINE).clamp(max=1.0))[:, None]
    to_line = (apart / ISO_SPACING - (apart / ISO_SPACING).round()).abs() * ISO_SPACING
    # Lines closer than some pixels would be mush.
    visible = (ISO_SPACING / pixel / 3 - 0.5).clamp(0.0, 1.0) * (apart < LAST_LINE + pixel)
    thin = 0.55 * (1.2 - to_line / pixel).clamp(0.0, 1.0) * visible
    thick = (2.2 - apart / pixel).clamp(0.0, 1.0)
    line = torch.maximum(thin, thick)
    opacity = torch.maximum(torch.where(inside, 1.0, 0.7), line)
    return torch.lerp(colour, distance.new_tensor(LINE), line[:, None]), opacity
