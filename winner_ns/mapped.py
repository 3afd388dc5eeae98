"""Memory: how much of mapped files is in it, that the disk has room for them, and that what is freed is given back."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np

MAPPED_BUDGET = 2**27
"""Bytes of a mapped file that may be in memory at a time."""


_NEIGHBOURHOOD = 2**16
"""Bytes that come into memory with a row of a mapped file."""

_AT_ONCE = 2**20
"""Bytes that are written in one go where there is no call that reserves them."""


def new_npy(path: Path, shape: Sequence[int], dtype: Any) -> np.memmap:
    """A mapped .npy file, yet to be filled.

    Raises:
        OSError: the disk has no room for it.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(shape))
    with open(path, "r+b") as file:
        reserve(file.fileno(), array.offset, array.nbytes)
    return array


def reserve(file: int, start: int, size: int) -> None:
    """Takes room on the disk before it is mapped: what a full disk refuses to a mapping ends the program at once.

    Args:
        file: a descriptor that is open for writing.
        start: of the bytes in the file; they become zeros.
        size: of them.

    Raises:
        OSError: there is not so much room.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, start, size)
            return
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    os.lseek(file, start, os.SEEK_SET)
    zeros = bytes(_AT_ONCE)
    while size:
        size -= os.write(file, zeros[:size])


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
    if not is_mapped(array) or array.size == 0:
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


def is_mapped(array: np.ndarray) -> bool:
    """Whether it is a mapped file, or a part of one."""
    return getattr(array, "_mmap", None) is not None


def blocks(array: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Parts of an array, one after the other, along as many axes as it takes for each to have at most so many numbers;
    the last axis stays whole. What has been read of a mapped file is let go of."""
    if array.size <= most or array.ndim < 2:
        yield array
        forget_pages(array)
        return
    inside = array[0].size
    if inside > most and array.ndim > 2:
        for part in array:
            yield from blocks(part, most)
        return
    step = max(1, most // max(inside, 1))
    for start in range(0, len(array), step):
        yield array[start : start + step]
        forget_pages(array)


def picked(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Rows [n, c] of an array; of a mapped file in the order in which they lie there, few of them at a time.

    Args:
        rows: all, [m, c].
        numbers: from 0 to m - 1, in any order.
    """
    if not is_mapped(rows) or rows.nbytes <= MAPPED_BUDGET:
        return rows[numbers]
    found, order = np.empty((len(numbers), rows.shape[1]), rows.dtype), np.argsort(numbers)
    step = MAPPED_BUDGET // _NEIGHBOURHOOD
    for start in range(0, len(order), step):
        chosen = order[start : start + step]
        found[chosen] = rows[numbers[chosen]]
        forget_pages(rows)
    return found


def give_back_memory() -> None:
    """Gives what has been freed in small pieces, as trees are, back to the system, where the C library keeps it."""
    with suppress(AttributeError, OSError, TypeError):  # That of Linux alone keeps it, and can be told.
        ctypes.CDLL(None).malloc_trim(0)
