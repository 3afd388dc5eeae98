"""What colours mean, for the panel to say."""

from __future__ import annotations

from typing import Callable, Sequence

import numpy as np
from matplotlib.colors import to_hex

from winner_ns.safe_text import markdown
from winner_ns.viewing.colours import matplotlib_map

Legend = Callable[[], str]
"""Gives it in Markdown (MDX, which viser renders); "" where the colours are the signal's own."""
STOPS = 17


def no_legend() -> str:
    """Of what is shown in its own colours."""
    return ""


def number(value: float) -> str:
    """A number to four digits, with a true minus sign."""
    return f"{value:.4g}".replace("-", "\u2212")


def colour_bar(colour_map: str, labels: Sequence[str], words: str) -> str:
    """A bar in the colours of one of matplotlib's maps.

    Args:
        colour_map: its name.
        labels: what stands below it, from its left to its right end.
        words: what is shown, and in which units.
    """
    colours = ", ".join(to_hex(colour) for colour in matplotlib_map(colour_map)(np.linspace(0, 1, STOPS)))
    bar = f'<div style={{{{height: "0.8em", background: "linear-gradient(to right, {colours})"}}}}></div>'
    spread = '<div style={{display: "flex", justifyContent: "space-between"}}>'
    below = spread + "".join(f"<span>{markdown(label)}</span>" for label in labels) + "</div>"
    return f"{markdown(words)}\n\n{bar}\n{below}"


def signed_bar(strongest: float, words: str) -> str:
    """The bar of `signed_colours` of one channel, whose strongest colours are at this number and its negative."""
    return colour_bar("RdBu_r", [number(-strongest), "0", number(strongest)], words)
