"""Sensible settings for each kind, used where a flag was not given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

from winner_ns.fields import family_class
from winner_ns.spectrum.target import NoiseReport


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
    "image": KindSettings(width=256, depth=4, steps=1000, batch_size=8192, learning_rate=1e-3),
    "audio": KindSettings(width=256, depth=4, steps=2000, batch_size=8192, learning_rate=5e-4),
    "shape": KindSettings(width=256, depth=4, steps=2500, batch_size=8192, learning_rate=1e-3),
    "volume": KindSettings(width=256, depth=4, steps=2000, batch_size=8192, learning_rate=1e-3),
    "video": KindSettings(width=256, depth=4, steps=2000, batch_size=8192, learning_rate=1e-3),
    "views": KindSettings(width=128, depth=4, steps=5000, batch_size=1024, learning_rate=2e-4),
    "surface": KindSettings(width=128, depth=4, steps=3000, batch_size=512, learning_rate=5e-4),
}

COLOR_RATE = 5e-3
"""Adam's rate for the ReLU layers that turn a scene's features into colours (docs/views.md)."""

WIDEST_BAND_AT_FULL_RATE = 180.0
"""Initial band (rad/unit) of a two- or more-dimensional field up to which Adam runs at 1e-3: that worked at 197 and
failed at 298, where half of it did."""

RATE_WITHOUT_INTERPOLATION = 5e-4
"""For fields that give up on fitting because the spectrum is too bright to interpolate."""


def learning_rate(kind: str, family: str, report: Optional[NoiseReport]) -> float:
    """Adam's learning rate for a family on a kind of signal.

    Args:
        kind: image, audio, shape, volume, video or views.
        family: name of the field's family.
        report: what the law said, for a sine field.
    """
    if report is None:
        return family_class(family).learning_rate
    if report.bright and report.kappa == 0.0:
        return RATE_WITHOUT_INTERPOLATION
    rate = SETTINGS[kind].learning_rate
    if kind != "audio" and report.band > WIDEST_BAND_AT_FULL_RATE:
        rate /= 2
    return rate
