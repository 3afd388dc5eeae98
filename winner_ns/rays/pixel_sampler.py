"""Which pixels of photographs a step sees, where masks hide some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Type, Union

import torch
from jaxtyping import Int, Shaped
from nerfstudio.data.pixel_samplers import PixelSampler, PixelSamplerConfig
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.glue.help import shown_in_help


class ViewsPixelSampler(PixelSampler):
    """nerfstudio's PixelSampler with its masked sampling made anew: that one ends in errors for a single image at a
    time (one view, or views of several sizes) and for masks that leave fewer pixels than there are rays."""

    def rejection_sample_mask(
        self,
        mask: Shaped[Tensor, "n h w 1"],
        num_samples: int,
        num_images: int,
        image_height: int,
        image_width: int,
        device: Union[torch.device, str],
    ) -> Int[Tensor, "num_samples 3"]:
        """Image, row and column of pixels that the masks leave, each as likely as any other.

        Raises:
            SignalError: they leave none.
        """
        shown = mask[..., 0].bool()  # Which may lie elsewhere than the images.
        sizes = torch.tensor([num_images, image_height, image_width], device=shown.device)
        indices = (torch.rand((num_samples, 3), device=shown.device) * sizes).long()
        for _ in range(self.config.max_num_iterations):
            hidden = ~shown[indices.unbind(dim=-1)]
            missing = int(hidden.sum())
            if missing == 0:
                return indices.to(device)
            indices[hidden] = (torch.rand((missing, 3), device=shown.device) * sizes).long()
        left = shown.nonzero()
        if len(left) == 0:
            raise SignalError("a mask", "hides all of a photograph", "leave that photograph out, or correct its mask")
        return left[torch.randint(len(left), (num_samples,), device=left.device)].to(device)


@shown_in_help(
    hidden=("num_rays_per_batch", "keep_full_image", "is_equirectangular", "max_num_iterations"),
    texts={
        "ignore_mask": "Whether pixels that masks hide are learnt, too.",
        "fisheye_crop_radius": "Of fisheye cameras: pixels from the middle within which they are learnt; None: all.",
        "rejection_sample_mask": "Whether pixels are drawn until masks leave them; else their positions are listed.",
    },
)
@dataclass
class ViewsPixelSamplerConfig(PixelSamplerConfig):
    """Which pixels of photographs are drawn."""

    _target: Type = field(default_factory=lambda: ViewsPixelSampler)
    """The sampler's class."""
