"""What may be shown of a cell: its figures, what they are called, and which signals and tasks have them."""

from __future__ import annotations

from typing import Dict, Tuple

from winner_ns.figures.table import LOWER_IS_BETTER
from winner_ns.fitting.classical_denoisers import DENOISERS
from winner_ns.kinds import KINDS, kinds_of_files

TITLES: Dict[str, str] = {
    "psnr": "PSNR, dB",
    "psnr_best": "best PSNR on the way, dB",
    "psnr_heldout": "PSNR at withheld samples, dB",
    "ssim": "SSIM",
    "snr": "SNR, dB",
    "log_spectral_distance": "log-spectral distance, dB",
    "iou": "IoU",
    "chamfer": "Chamfer distance, unit cube",
    "chamfer_percent_of_diagonal": "Chamfer distance, % of diagonal",
    "hausdorff_percent_of_diagonal": "Hausdorff distance, % of diagonal",
    "f_score": "F-score at 0.1 %",
    "normal_consistency": "normal consistency",
    "training_seconds": "training, s",
    "parameters": "parameters",
}
"""Metrics whose names alone would not do."""
OF_A_TASK: Dict[str, Tuple[str, str]] = {"psnr_best": ("denoise", "psnr"), "psnr_heldout": ("heldout", "psnr")}
"""Metrics that belong to a task: that task, and the figure that they are a variety of."""
OF_ALL = ("training_seconds", "parameters")
"""Metrics that every cell has."""


def figure_of(denoiser: str) -> str:
    """The figure that holds what a classical denoiser makes of noisy samples."""
    return f"psnr_by_{denoiser.replace('-', '_')}"


CLASSICAL: Dict[str, str] = {f"{name}, no field": figure_of(name) for name in DENOISERS if name != "none"}
"""Denoising without a field: its name, and the figure that holds it."""
BASELINES: Dict[str, Dict[str, str]] = {
    "psnr": {"noisy input": "psnr_noisy", **CLASSICAL},
    "psnr_best": {"noisy input": "psnr_noisy", **CLASSICAL},
    "psnr_heldout": {"classical interpolation": "psnr_interpolation"},
}
"""What stands beside a metric for comparison, where it is known: its name, and the figure that holds it."""


def metrics() -> Dict[str, str]:
    """All metrics and their titles; figures of kinds that other packages add are called as they are."""
    figures = dict.fromkeys(name for kind in kinds_of_files() for name in KINDS[kind].figure_names)
    return {**TITLES, **{name: title_of(name) for name in figures}}


def title_of(metric: str) -> str:
    """What a metric is called in tables and charts."""
    return TITLES.get(metric, metric.replace("_", " "))


def kinds_with(metric: str) -> Tuple[str, ...]:
    """The kinds of signals that have a metric."""
    figure = OF_A_TASK[metric][1] if metric in OF_A_TASK else metric
    return tuple(kind for kind in kinds_of_files() if metric in OF_ALL or figure in KINDS[kind].figure_names)


def has_samples(kind: str) -> bool:
    """Whether signals of a kind are a fixed set of samples, which can be withheld, made noisy, or chosen by loss."""
    return "holdout" in KINDS[kind].get("target").takes  # type: ignore[attr-defined]


def lower_is_better(metric: str) -> bool:
    """Whether less of it is more."""
    return metric in (*LOWER_IS_BETTER, "training_seconds")
