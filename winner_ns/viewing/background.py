"""What a ray sees that meets nothing: white, and a depth that covers nothing of the scene."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor


def background_depth(origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 1"]:
    """Distance along each ray to just behind the cube [-1, 1]^3.

    Finite and of the scene's size, so that a depth picture keeps its contrast and what a viewer draws into the scene
    is never covered by the background.
    """
    nearest = -(origins * directions).sum(-1, keepdim=True)
    return nearest.clamp(min=0.0) + math.sqrt(3.0)
