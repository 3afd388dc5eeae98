"""Sensible settings for each kind, used where a flag was not given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from winner_ns.fields import family_class


@dataclass(frozen=True)
class KindSettings:
    """Defaults of one kind; measured on 2 CPU cores (docs/benchmarks.md)."""

    width: int
    depth: int
    steps: int
    batch_size: int
    learning_rate: float
    """For sine fields with matched noise; other families bring their published one."""


SETTINGS: Dict[str, KindSettings] = {
    "image": KindSettings(width=256, depth=4, steps=1500, batch_size=8192, learning_rate=1e-3),
    "audio": KindSettings(width=256, depth=4, steps=2000, batch_size=8192, learning_rate=5e-4),
    "shape": KindSettings(width=128, depth=4, steps=1500, batch_size=8192, learning_rate=1e-3),
    "volume": KindSettings(width=256, depth=4, steps=2000, batch_size=8192, learning_rate=1e-3),
    "video": KindSettings(width=256, depth=4, steps=2000, batch_size=8192, learning_rate=1e-3),
}

WIDEST_BAND_AT_FULL_RATE = 180.0
"""Initial band (rad/unit) of a two- or more-dimensional field above which Adam at 1e-3 was measured to diverge."""


def learning_rate(kind: str, family: str, band: float) -> float:
    """Adam's learning rate for a family on a kind of signal.

    Args:
        kind: image, audio, shape, volume or video.
        family: name of the field's family.
        band: the initial band of a sine field, rad/unit.
    """
    if family not in ("winner", "siren"):
        return family_class(family).learning_rate
    rate = SETTINGS[kind].learning_rate
    if kind != "audio" and band > WIDEST_BAND_AT_FULL_RATE:
        rate /= 2
    return rate
