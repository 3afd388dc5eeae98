"""Means and squares of samples, channel by channel, without a converted copy of them."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.mapped import blocks

_BLOCK = 2**22
"""Numbers that are read in one go."""
_CONVERTED = 2**17
"""Of them, those that are converted in one go, so that they stay in the processor's cache."""
_PIXELS = 512
"""Rows of channels that are added up side by side: sums over a few numbers each take ten times as long."""


def channel_moments(
    samples: Shaped[np.ndarray, "*shape channels"], offset: float = 0.0, scale: float = 1.0
) -> Tuple[Float[np.ndarray, " channels"], Float[np.ndarray, " channels"]]:
    """Each channel's mean, and the mean of its squares, of (samples - offset) / scale, in float64.

    Args:
        samples: any real type, channels last; may be memory-mapped.
        offset, scale: as of a `GridSignal`.
    """
    channels = samples.shape[-1]
    total, squares = np.zeros(channels), np.zeros(channels)
    for block in blocks(samples, _BLOCK):
        flat = np.ascontiguousarray(block).reshape(-1)
        wide = len(flat) // (_PIXELS * channels) * _PIXELS * channels
        for rows in (flat[:wide].reshape(-1, _PIXELS * channels), flat[wide:].reshape(-1, channels)):
            step = max(1, _CONVERTED // rows.shape[1])
            for start in range(0, len(rows), step):
                values = rows[start : start + step].astype(np.float64)
                values -= offset
                values /= scale
                total += values.sum(axis=0).reshape(-1, channels).sum(axis=0)
                squares += np.einsum("ij,ij->j", values, values).reshape(-1, channels).sum(axis=0)
    count = samples.size // channels
    return total / count, squares / count
