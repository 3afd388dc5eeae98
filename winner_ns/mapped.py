"""Arrays that are mapped files: how much of them is in memory."""

from __future__ import annotations

import mmap

import numpy as np

MAPPED_BUDGET = 2**27
"""Bytes of a mapped file that may be in memory at a time."""


def forget_pages(array: np.ndarray) -> None:
    """Lets go of what of a mapped file has been read into the process's memory; it is read again where it is asked for.

    Arrays that are not mapped, and those mapped to be changed by this process alone, stay as they are.
    """
    mapping = getattr(array, "_mmap", None)
    if mapping is not None and getattr(array, "mode", "c") != "c" and hasattr(mapping, "madvise"):
        mapping.madvise(mmap.MADV_DONTNEED)


def in_bands(array: np.ndarray) -> np.ndarray:
    """An array, or where it is a part of a mapped file that lies widely apart a copy of it, read a band at a time: the
    system reads whole neighbourhoods, which would be all of the file."""
    if getattr(array, "_mmap", None) is None or array.size == 0:
        return array
    axis = int(np.argmax(np.abs(array.strides)))
    reach = abs(array.strides[axis])
    if reach * array.shape[axis] <= MAPPED_BUDGET:
        return array
    copy, step = np.empty(array.shape, array.dtype), max(1, MAPPED_BUDGET // max(reach, 1))
    for start in range(0, array.shape[axis], step):
        band = (slice(None),) * axis + (slice(start, start + step),)
        copy[band] = array[band]
        forget_pages(array)
    return copy
