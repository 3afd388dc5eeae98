"""Figures in words: what they are called, and in which unit they are."""

from __future__ import annotations

from typing import List, Mapping, NamedTuple

from winner_ns.safe_text import terminal


class Words(NamedTuple):
    """How a figure is written."""

    name: str
    unit: str = ""
    """With what stands before it."""
    digits: str = ".4f"
    """As Python formats numbers."""


WORDS = {
    "psnr": Words("PSNR", " dB", ".2f"),
    "psnr_heldout": Words("PSNR withheld", " dB", ".2f"),
    "psnr_interpolation": Words("PSNR withheld of the best interpolation", " dB", ".2f"),
    "ssim": Words("SSIM"),
    "lpips": Words("LPIPS"),
    "snr": Words("SNR", " dB", ".2f"),
    "log_spectral_distance": Words("log-spectral distance", " dB", ".2f"),
    "iou": Words("IoU"),
    "chamfer": Words("Chamfer distance", " of half the fitted cube", ".3g"),
    "chamfer_percent_of_diagonal": Words("Chamfer distance", " % of the diagonal", ".3g"),
    "hausdorff_percent_of_diagonal": Words("Hausdorff distance", " % of the diagonal", ".3g"),
    "f_score": Words("F-score at 0.1 % of the diagonal"),
    "normal_consistency": Words("normal consistency"),
}
"""The figures that come with the package; others are called by their own names."""


def words_of(name: str) -> Words:
    """How a figure is written, known or not."""
    return WORDS.get(name) or Words(terminal(name.replace("_", " ")), digits=".4g")


def value_in_words(name: str, value: float) -> str:
    """A figure's value with its unit."""
    words = words_of(name)
    text = f"{value:{words.digits}}"
    # What rounds to nothing has no sign.
    return f"{text.lstrip('-') if float(text) == 0 else text}{words.unit}"


def figures_in_a_line(figures: Mapping[str, float]) -> str:
    """Figures one after the other; what the one before began with is not said again."""
    told, before = [], ""
    for name, value in figures.items():
        called = words_of(name).name
        told.append(f"{called.removeprefix(f'{before} ')} {value_in_words(name, value)}")
        before = called.partition(" ")[0]
    return ", ".join(told)


def figures_in_rows(figures: Mapping[str, float]) -> List[str]:
    """A line for each figure, values below each other."""
    width = max((len(words_of(name).name) for name in figures), default=0)
    return [f"{words_of(name).name:<{width}}  {value_in_words(name, value)}" for name, value in figures.items()]
