"""Figures of rendered views."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, Tuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.errors import SignalError

LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
"""What torchvision would download for LPIPS with AlexNet."""


def view_metrics(rendered: Float[Tensor, "h w 3"], truth: Float[Tensor, "h w 3"]) -> Dict[str, float]:
    """psnr in dB (peak 1) and ssim (Wang et al. 2004, Gaussian window of 1.5 pixels; not below 11 pixels) of a view
    with colours in [0, 1]."""
    from skimage.metrics import structural_similarity

    a, b = (np.clip(image.detach().cpu().numpy().astype(np.float64), 0.0, 1.0) for image in (rendered, truth))
    error = float(((a - b) ** 2).mean())
    figures = {"psnr": -10.0 * math.log10(max(error, 1e-12))}
    if min(a.shape[:2]) >= 11:
        figures["ssim"] = float(
            structural_similarity(
                a, b, data_range=1.0, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
        )
    return figures


def figures_and_pictures(
    outputs: Dict[str, Tensor],
    truth: Float[Tensor, "h w 3"],
    lpips: bool = False,
) -> Tuple[Dict[str, float], Dict[str, Tensor]]:
    """What nerfstudio asks of a rendered view.

    Args:
        outputs: rgb, accumulation and depth of the view.
        truth: the view, on the background that it is rendered on.
        lpips: whether LPIPS is wanted.

    Returns:
        `view_metrics` and lpips; original and rendering side by side, opacity, depth.

    Raises:
        SignalError: the weights of LPIPS are not there.
    """
    from nerfstudio.utils import colormaps

    figures = view_metrics(outputs["rgb"], truth)
    if lpips:
        figures["lpips"] = perceptual_distance()(outputs["rgb"], truth)
    return figures, {
        "img": torch.cat([truth, outputs["rgb"]], dim=1),
        "accumulation": colormaps.apply_colormap(outputs["accumulation"]),
        "depth": colormaps.apply_depth_colormap(outputs["depth"], accumulation=outputs["accumulation"]),
    }


def need_lpips_weights() -> Path:
    """The weights of LPIPS; raises SignalError where they are not on this machine."""
    weights = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS
    if not weights.is_file():
        raise SignalError(weights, "is not there, and LPIPS needs it", "put it there, or do without the flag lpips")
    return weights


def perceptual_distance() -> Callable[[Tensor, Tensor], float]:
    """LPIPS (Zhang et al. 2018, AlexNet) of two [h, w, 3] views, if its weights are on this machine.

    Raises:
        SignalError: they are not; they would have to be downloaded.
    """
    return _perceptual_distance(need_lpips_weights())


@lru_cache(maxsize=1)
def _perceptual_distance(weights: Path) -> Callable[[Tensor, Tensor], float]:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    network = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).eval()

    def distance(a: Tensor, b: Tensor) -> float:
        with torch.no_grad():
            return float(network(*(x.cpu().float().clamp(0, 1).permute(2, 0, 1)[None] for x in (a, b))))

    return distance
