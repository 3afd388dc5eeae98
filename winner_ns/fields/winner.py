"""WINNER: a SIREN whose first two layers have noise that is adapted to the target's spectrum (`winner_init`)."""

from __future__ import annotations

from typing import ClassVar

from winner_ns.fields.siren import Siren


class Winner(Siren):
    """A Siren that is yet to be adapted; the noise adds no parameter."""

    takes_noise: ClassVar[bool] = True
    source: ClassVar[str] = "WINNER: Chandravamsi et al., 2025, arXiv 2509.12980 and 2509.09719, on SIREN"
