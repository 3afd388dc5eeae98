"""Signals sampled on a regular grid: images, sounds, volumes, videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.mapped import picked

if TYPE_CHECKING:
    from torch import Tensor
else:
    # Whoever only looks at a file need not wait for torch. Shapes and types of numbers are checked all the same.
    Tensor = Any


@dataclass
class GridSignal:
    """Samples on a regular grid and what is needed to go to coordinates and values in [-1, 1] and back.

    The samples stay in the type that the file had; only the batch that is asked for is converted, so that the memory
    used beside the samples is bounded by the batch. Coordinates are in the order of the array's axes (an image's first
    coordinate runs down the rows, its second along the columns) and the spacing is equal along all spatial axes: the
    longest one spans [-1, 1] with a sample on either end, shorter ones stay centred.
    """

    kind: str
    """A name of `KINDS`."""
    path: Path
    """The file that was read."""
    samples: np.ndarray
    """Raw samples, [*shape, channels], in the file's own type; may be memory-mapped."""
    value_offset: float
    """Raw value that becomes 0."""
    value_scale: float
    """Raw distance from `value_offset` that becomes 1: value = (raw - value_offset) / value_scale is in [-1, 1]."""
    half_extent: Tuple[float, ...]
    """Per axis, the coordinate of the last sample; the first one's is its negative. The largest is 1."""
    metadata: Dict[str, Any] = field(default_factory=dict)
    """JSON-able facts about the file that exports need (sample_rate, subtype, color mode, frame_rate, …)."""
    warnings: List[str] = field(default_factory=list)
    """One line each: what the user should know about how the file was read."""
    in_memory: bool = False
    """Whether it was no file, so that `path` is a name and nothing else."""

    @property
    def shape(self) -> Tuple[int, ...]:
        """Number of samples along each axis, channels left out."""
        return tuple(int(n) for n in self.samples.shape[:-1])

    @property
    def channels(self) -> int:
        return int(self.samples.shape[-1])

    @property
    def dimensions(self) -> int:
        return len(self.shape)

    def in_words(self) -> str:
        """How large it is."""
        return f"{' x '.join(str(n) for n in self.shape)}, {self.channels} channel(s)"

    def __len__(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nyquist(self) -> Tuple[float, ...]:
        """Per axis, the grid's Nyquist frequency in radians per unit of coordinate: pi over the spacing."""
        return tuple(
            np.pi * (n - 1) / (2 * e) if n > 1 else 0.0 for n, e in zip(self.shape, self.half_extent, strict=True)
        )

    @property
    def hertz(self) -> Optional[float]:
        """The frequency of one radian per unit of coordinate, where time in seconds is the only axis; else None."""
        rate, n = self.metadata.get("sample_rate"), self.shape[0]
        if rate is None or self.dimensions > 1 or n < 2:
            return None
        return rate * 2 * self.half_extent[0] / (n - 1) / (2 * np.pi)

    def coordinates(self, indices: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """Coordinates in [-1, 1]^d of the samples with these flat (row-major) indices."""
        return grid_coordinates(indices, self.shape, self.half_extent)

    def values(self, indices: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
        """Values in [-1, 1] of the samples with these flat (row-major) indices."""
        import torch

        flat = self.samples.reshape(-1, self.channels)
        raw = picked(flat, indices.cpu().numpy()).astype(np.float64)
        return torch.from_numpy(((raw - self.value_offset) / self.value_scale).astype(np.float32))

    def describe(self) -> Dict[str, Any]:
        """What evaluating and exporting need once the samples are gone, as plain JSON."""
        return {
            "shape": list(self.shape),
            "channels": self.channels,
            "dtype": str(self.samples.dtype),
            "value_offset": float(self.value_offset),
            "value_scale": float(self.value_scale),
            "half_extent": [float(e) for e in self.half_extent],
            **self.metadata,
        }


def square_half_extent(shape: Tuple[int, ...]) -> Tuple[float, ...]:
    """The half extents that make the spacing equal along all axes, the longest spanning [-1, 1]."""
    longest = max(max(shape) - 1, 1)
    return tuple((n - 1) / longest for n in shape)


def grid_coordinates(
    indices: Int[Tensor, " n"], shape: Tuple[int, ...], half_extent: Tuple[float, ...]
) -> Float[Tensor, "n d"]:
    """Coordinates of the samples with these flat (row-major) indices of a grid.

    Args:
        indices: from 0 on.
        shape: of the grid.
        half_extent: per axis, the coordinate of the last sample; the first one's is its negative.
    """
    import torch

    columns: List[Tensor] = []
    rest = indices
    for n, extent in zip(reversed(shape), reversed(half_extent), strict=True):
        position = rest % n
        # In double precision: the spacing of an hour of audio is below float32's resolution at 1.
        columns.append((position.double() * (2.0 / max(n - 1, 1)) - 1.0).mul_(extent).float())
        rest = rest // n
    return torch.stack(columns[::-1], dim=-1)
