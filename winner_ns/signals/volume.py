"""Reading volumes: arrays that stay on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.signals.array import open_array, value_range
from winner_ns.signals.grid import GridSignal, square_half_extent
from winner_ns.signals.options import ReadOptions


def read_volume(path: Path) -> GridSignal:
    """Reads a .npy of cubic voxels, [depth, height, width] or [depth, height, width, channels <= 4].

    The samples keep the file's type and stay on disk; [-1, 1] stands for the full range of 8- and 16-bit integers,
    for the smallest to largest value of others.

    Raises:
        SignalError: the file is no such array, has an axis of length 1, is constant or has NaN or infinite samples.
    """
    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise SignalError(path, "is no volume", "give a .npy of [depth, height, width] or with channels behind")
    return volume_of_array(open_array(path), path)


def volume_of_array(array: np.ndarray, path: Path, options: Optional[ReadOptions] = None) -> GridSignal:
    """A volume from an array in rows, shaped as for `read_volume`; raises as that.

    Args:
        array: its samples.
        path: what messages, and files made of it, call it.
        options: for sounds.
    """
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] > 4:
        raise SignalError(
            path,
            f"an array of shape {array.shape} is no volume",
            "give [depth, height, width] or [depth, height, width, channels] with 1 to 4 channels",
        )
    if min(array.shape[:3]) < 2:
        raise SignalError(path, f"has {_by(array)} voxels", "a volume needs at least 2 along each axis")
    offset, scale = value_range(path, array)
    return GridSignal(
        kind="volume",
        path=path,
        samples=array,
        value_offset=offset,
        value_scale=scale,
        half_extent=square_half_extent(array.shape[:3]),
        metadata={"format": "NPY"},
    )


def _by(array: np.ndarray) -> str:
    return " x ".join(str(n) for n in array.shape[:3])
