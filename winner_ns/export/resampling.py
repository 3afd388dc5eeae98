"""A grid field at another resolution, and its values in the number format of a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.errors import SignalError, setting_error
from winner_ns.fields.files import LoadedField, on_lattice
from winner_ns.fields.sample_values import sample_values
from winner_ns.fields.units import MOST_SAMPLES
from winner_ns.progress import Report, silent

BLOCK = 2**20
"""Points that are evaluated in one go."""
MOST_UNASKED = 2**29
"""Points that are evaluated where nobody has said how large the file is to be: of its original's size a run may say
anything, and a file of some kilobytes that it has 40000 x 40000 pixels."""
MOST_AVERAGED = 16
"""Along each axis, points that a sample is the mean of."""


def exported_shape(
    loaded: LoadedField, scale: float, axes: Sequence[int], size: Optional[Sequence[int]] = None
) -> List[int]:
    """The shape of a file: the one that is asked for, or the original's with these axes scaled, round(n * scale).

    Args:
        loaded: a fitted grid.
        scale: factor.
        axes: that it is of.
        size: samples along all axes, of those that cannot be scaled the original's; None: as the scale says.

    Raises:
        SignalError: the scale is no positive number, nothing would be left, or the size is none; without one, more than
            MOST_UNASKED points would be evaluated.
    """
    own = loaded.signal["shape"]
    if size is not None:
        return _asked_shape(own, scale, axes, size)
    shape = _scaled_shape(own, scale, axes)
    points = math.prod(n * k for n, k in zip(shape, _averaged(own, shape), strict=True))
    if points > MOST_UNASKED:
        told = " x ".join(map(str, shape))
        problem = f"would be a file of {told} samples, and more than {MOST_UNASKED:,} are not evaluated unasked"
        advice = f"give a smaller scale, or the size itself: --size {' '.join(map(str, shape))}"
        raise SignalError(loaded.description.name, problem, advice)
    return shape


def _asked_shape(own: Sequence[int], scale: float, axes: Sequence[int], size: Sequence[int]) -> List[int]:
    told = " ".join(map(str, size))
    if scale != 1.0:
        raise setting_error("size", f"is {told}, and the scale {scale:g}", "give one of them")
    if len(size) != len(own) or min(size) < 1 or math.prod(size) > MOST_SAMPLES:
        raise setting_error("size", f"{told} is none of this signal", f"give {len(own)} whole numbers above 0")
    if any(size[axis] != n for axis, n in enumerate(own) if axis not in axes):
        raise setting_error("size", f"{told} has another number of frames", f"give {own[0]}, as the original has them")
    return list(size)


def _averaged(own: Sequence[int], shape: Sequence[int]) -> List[int]:
    """How many points a sample is the mean of, along each axis."""
    return [min(max(1, math.ceil(n / m)), MOST_AVERAGED) for n, m in zip(own, shape, strict=True)]


def _scaled_shape(own: Sequence[int], scale: float, axes: Sequence[int]) -> List[int]:
    if not (scale > 0 and math.isfinite(scale)):
        raise setting_error("scale", f"{scale} is no scale", "give a number above 0; 2 doubles width and height")
    shape = [round(n * scale) if axis in axes else n for axis, n in enumerate(own)]
    if min(shape) < 1:
        raise setting_error("scale", f"{scale} leaves no sample", "give a larger one")
    return shape


def resampled(
    loaded: LoadedField, shape: Sequence[int], report: Report = silent
) -> Iterator[Float[np.ndarray, "rows *others c"]]:
    """The field's values (original units) on a grid of another shape over the same area, some rows at a time.

    Every sample of the original covers an area around its position, a pixel; the new samples divide the same total
    area evenly, as image resizing does (align_corners=False). So at the original's shape they lie where its samples
    lie, at a higher one the outermost lie up to half a pixel outside of [-1, 1], and at a lower one each is the mean
    over its area, of at most MOST_AVERAGED points along each axis, so that nothing aliases.

    Args:
        loaded: a fitted grid.
        shape: samples along each axis.
        report: is told how far it is.
    """
    known = sample_values(loaded) if list(shape) == list(loaded.signal["shape"]) else None
    if known is not None:
        yield known * loaded.signal["value_scale"] + loaded.signal["value_offset"]
        return
    inner = _averaged(loaded.signal["shape"], shape)
    lines = []
    for n, e, m, k in zip(loaded.signal["shape"], loaded.signal["half_extent"], shape, inner, strict=True):
        at = (np.arange(m * k) + 0.5) * (n / (m * k)) - 0.5 if m * k != n else np.arange(n)
        lines.append(e * (at * (2.0 / max(n - 1, 1)) - 1.0))
    across = math.prod(len(line) for line in lines[1:])
    rows = max(1, BLOCK // (across * inner[0]))
    for row in range(0, shape[0], rows):
        report("evaluating the field", row, shape[0])
        count = min(rows, shape[0] - row)
        first = lines[0][row * inner[0] : (row + count) * inner[0]]
        values = on_lattice(loaded, [first, *lines[1:]])
        if max(inner) > 1:
            split = [size for m, k in zip([count, *shape[1:]], inner, strict=True) for size in (m, k)]
            values = values.reshape(*split, -1).mean(axis=tuple(range(1, 2 * len(shape), 2)))
        yield values


@dataclass(frozen=True)
class NumberFormat:
    """How raw values become numbers in a file: raw * factor + shift; integers are rounded and clipped."""

    dtype: np.dtype
    factor: float = 1.0
    shift: float = 0.0

    def __call__(self, raw: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
        """Raw values as numbers of `dtype`."""
        if (self.factor, self.shift) != (1.0, 0.0):
            raw = raw * self.factor + self.shift
        if self.dtype.kind == "f":
            return raw.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        # In double precision where single cannot tell the type's largest value.
        rounded = np.rint(raw if self.dtype.itemsize <= 2 else raw.astype(np.float64))
        return np.clip(rounded, limits.min, limits.max).astype(self.dtype)


def number_format(loaded: LoadedField, bit_depth: Optional[int]) -> NumberFormat:
    """The format for unsigned integers of 8 or 16 bit, 32-bit floats, or (None) the original's own numbers.

    Integers have the original's range of values (of 8- and 16-bit files the type's, else from the smallest to the
    largest value) as their full range; but floats that lie in [0, 1], as those of pictures do, have 1 as the largest
    integer. As floats, integers become [0, 1] and floats stay as they are.
    """
    signal = loaded.signal
    original = np.dtype(signal["dtype"])
    low, high = signal["value_offset"] - signal["value_scale"], signal["value_offset"] + signal["value_scale"]
    if bit_depth is None:
        return NumberFormat(original)
    if original.kind == "f":
        if bit_depth == 32:
            return NumberFormat(np.dtype(np.float32))
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0
    largest = 1.0 if bit_depth == 32 else 2.0**bit_depth - 1
    factor = largest / (high - low)
    return NumberFormat(np.dtype({8: "uint8", 16: "uint16", 32: "float32"}[bit_depth]), factor, -low * factor)


def original_depth(loaded: LoadedField) -> int:
    """8, 16 or 32, the bit depth that holds the original's numbers."""
    dtype = np.dtype(loaded.signal["dtype"])
    return 32 if dtype.kind == "f" or dtype.itemsize > 2 else 8 * dtype.itemsize
