"""What nerfstudio 1.1.5 does wrong, worked around: the only place for that."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

from torch import nn


@contextmanager
def attribute_set_to(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Gives an object's attribute another value for the block: nerfstudio reads choices from configs that should be
    arguments."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def lpips_left_out() -> Iterator[None]:
    """nerfstudio's models build LPIPS, which downloads weights, whether it is asked for or not: here they do not."""
    from torchmetrics.image import lpip

    with attribute_set_to(lpip, "LearnedPerceptualImagePatchSimilarity", nn.Identity):
        yield
