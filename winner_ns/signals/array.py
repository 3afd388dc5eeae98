"""Arrays in .npy files, scratch memory, and the checks that all grids share."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Iterator, Tuple

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.mapped import MAPPED_BUDGET, blocks, forget_pages, in_bands, is_mapped, reserve
from winner_ns.reading import MOST_MAGNITUDE

MEMORY_LIMIT = 512 * 2**20
"""Bytes beyond which decoded samples go to a temporary file instead of memory."""


CHUNK = 2**22
"""Numbers that are looked at in one go; bounds the memory that checks use."""


def map_array(path: Path) -> np.ndarray:
    """The array of a .npy file as it is, memory-mapped.

    Raises:
        SignalError: the file is cut, is no .npy file, or holds something else than real numbers.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # Any type: the header is parsed as Python source.
        if any(word in str(error) for word in ("allow_pickle", "Python objects")):
            advice = "save an array of numbers, pickles are never loaded"
            raise SignalError(path, "holds pickled Python objects", advice) from error
        raise SignalError(path, "is cut or no .npy file", "save it again with numpy.save") from error
    check_numbers(path, array)
    return array


def check_numbers(path: Path, array: np.ndarray) -> None:
    """Raises SignalError for an array without samples, or of something else than real numbers."""
    if array.dtype.kind not in "buif":
        raise SignalError(path, f"holds {array.dtype} instead of real numbers", "give integers or floats")
    if array.size == 0:
        raise SignalError(path, f"holds no samples (shape {array.shape})", "give an array with samples")


def open_array(path: Path) -> np.ndarray:
    """As `map_array`, in rows (`in_rows`); what already is stays memory-mapped."""
    return in_rows(map_array(path))


def in_rows(array: np.ndarray) -> np.ndarray:
    """An array row-major and in the machine's byte order, with booleans as 0 and 255 and half precision as single.

    What already is like that is not copied; large copies go into a temporary file.
    """
    if array.dtype.kind == "b":
        return _copied(array, np.dtype(np.uint8), 255)
    if array.dtype == np.float16:
        return _copied(array, np.dtype(np.float32))
    return native_rows(array)


def native_rows(array: np.ndarray) -> np.ndarray:
    """An array row-major and in the machine's byte order, copied where it is not, large ones into a temporary file."""
    if array.dtype.isnative and array.flags.c_contiguous:
        return array
    # Batches index rows of a flat view, which other layouts only give as a copy of the whole.
    return _copied(array, array.dtype.newbyteorder("="))


def _copied(array: np.ndarray, dtype: np.dtype, factor: int = 1) -> np.ndarray:
    """A copy in rows of another type and multiplied, large ones in a temporary file; made a part at a time."""
    copy = scratch_array(array.shape, dtype)
    if not is_mapped(array) and not is_mapped(copy):
        return np.multiply(array, dtype.type(factor), out=copy)
    most = MAPPED_BUDGET // max(array.itemsize, dtype.itemsize)
    for target, source in zip(blocks(copy, most), blocks(array, most), strict=True):
        np.multiply(in_bands(source), dtype.type(factor), out=target)
    return copy


def scratch_array(shape: Tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array, in a temporary file that vanishes by itself where it is larger than `MEMORY_LIMIT`.

    Raises:
        SignalError: the disk has no room for it.
    """
    if int(np.prod(shape, dtype=np.int64)) * dtype.itemsize <= MEMORY_LIMIT:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile(prefix="winner_ns_") as file:
            array = np.memmap(file, dtype, "w+", shape=shape)
            reserve(file.fileno(), 0, array.nbytes)
    except OSError as error:
        raise no_scratch(error) from error
    return array


def no_scratch(error: OSError) -> SignalError:
    """Why there is no temporary file for decoded samples."""
    folder, reason = tempfile.gettempdir(), error.strerror or error
    problem = f"has no room for samples that are larger than {MEMORY_LIMIT / 2**20:.0f} MiB ({reason})"
    return SignalError(folder, problem, "free some space there, or set TMPDIR to another folder")


def value_range(path: Path, samples: np.ndarray) -> Tuple[float, float]:
    """The offset and scale that bring samples [*shape, channels] to [-1, 1].

    8- and 16-bit integers have their type's full range as the range. Floats have their smallest and largest value,
    and so have wider integers, whose full range hardly any file uses.

    Raises:
        SignalError: samples are NaN or infinite, all the same, or beyond what single precision holds.
    """
    smallest, largest, unusable, constant = np.inf, -np.inf, 0, True
    full_range = samples.dtype.kind in "ui" and samples.dtype.itemsize <= 2
    first = samples.reshape(-1, samples.shape[-1])[0]
    for chunk in _chunks(samples):
        if constant:
            constant = bool((chunk == first).all())
        if full_range:
            if not constant:
                break
            continue
        finite = np.isfinite(chunk) if samples.dtype.kind == "f" else None
        if finite is not None and not finite.all():
            unusable += chunk.size - int(np.count_nonzero(finite))
            continue
        smallest, largest = min(smallest, float(chunk.min())), max(largest, float(chunk.max()))
    if unusable:
        raise not_finite(path, unusable, samples.size)
    if constant:
        raise SignalError(path, f"all samples have the same value ({_listed(first)})", "there is nothing to fit")
    if full_range:
        limits = np.iinfo(samples.dtype)
        smallest, largest = float(limits.min), float(limits.max)
    # Halved first: the span of huge floats would overflow.
    offset, scale = smallest / 2 + largest / 2, largest / 2 - smallest / 2
    check_magnitudes(path, "values", max(abs(smallest), abs(largest)), scale)
    return offset, scale


def check_magnitudes(path: Path, what: str, largest: float, span: float) -> None:
    """Raises SignalError for numbers that single precision, in which networks calculate, does not hold.

    Args:
        path: what messages call it.
        what: in words, which numbers they are.
        largest: of their magnitudes.
        span: what becomes a unit.
    """
    if largest <= MOST_MAGNITUDE and 1 / MOST_MAGNITUDE <= span:
        return
    problem = f"its {what} reach to {largest:.3g}"
    if largest <= MOST_MAGNITUDE:
        problem = f"its {what} differ by {span:.3g} at most"
    advice = f"multiply them by a number, so that they are from {1 / MOST_MAGNITUDE:g} to {MOST_MAGNITUDE:g}"
    raise SignalError(path, f"{problem}, which single precision does not hold", advice)


def not_finite(path: Path, count: int, total: int) -> SignalError:
    return SignalError(path, f"{count} of {total} samples are NaN or infinite", "replace them before fitting")


def _chunks(samples: np.ndarray) -> Iterator[np.ndarray]:
    rows = samples.reshape(-1, samples.shape[-1])
    step = max(CHUNK // rows.shape[1], 1)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
        forget_pages(samples)


def _listed(pixel: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in pixel.tolist())
