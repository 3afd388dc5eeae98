"""From what Python holds - an array, a tensor, a picture, a mesh - to a signal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.kinds import KINDS, kinds_of_files
from winner_ns.signals.array import check_numbers, in_rows
from winner_ns.signals.grid import GridSignal
from winner_ns.signals.load import array_kind, check_kind, load_signal
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.shape import ShapeSignal

ARRAY = Path("array")
"""What signals that were no files are called."""
_ADVICE = (
    "give a file's path, an array, a tensor, a PIL image, (samples, rate) or a trimesh mesh; each signal has its own "
    "field"
)


def signal_of(
    data: Any, kind: Optional[str] = None, options: Optional[ReadOptions] = None
) -> Union[GridSignal, ShapeSignal]:
    """The signal that something stands for.

    Args:
        data: a path; an array or tensor, [height, width] or [height, width, channels <= 4] for an image, [samples] or
            [samples, channels] for a sound, [depth, height, width] or [depth, height, width, channels <= 4] for a
            volume, [time, height, width, channels <= 4] for a video, [points, 4] (x y z distance), [points, 6] (x y z
            nx ny nz) or [points, 3] for a shape; a PIL image; (samples, rate in hertz) or (rate, samples) for a sound;
            a trimesh mesh or scene; or a signal. 8- and 16-bit integers have their type's full range, floats that of
            their values.
        kind: a name of `KINDS`; None: told by the file, or by the array's shape (`array_kind`).
        options: which part of a sound is read, and how.

    Raises:
        SignalError: it is none of these, could be of several kinds, or cannot be fitted.
    """
    if kind not in (None, "auto"):
        check_kind(kind)
    signal = _signal_of(data, None if kind == "auto" else kind, options or ReadOptions())
    if not isinstance(data, (GridSignal, ShapeSignal)):
        signal.in_memory = not isinstance(data, (str, os.PathLike))
    if kind not in (None, "auto", signal.kind):
        raise SignalError(signal.path, f"is {KINDS[signal.kind].words}, not {KINDS[kind].words}", "leave the kind out")
    if options not in (None, ReadOptions()) and not KINDS[signal.kind].takes_read_options:
        problem = f"is for sounds, {signal.path} is of the kind {signal.kind}"
        raise SignalError("read", problem, "leave it out", setting="read")
    return signal


def _signal_of(data: Any, kind: Optional[str], options: ReadOptions) -> Union[GridSignal, ShapeSignal]:
    if isinstance(data, (GridSignal, ShapeSignal)):
        return data
    if isinstance(data, (str, os.PathLike)):
        return load_signal(data, kind or "auto", options)
    # These packages are only asked about what they have made: none is imported for the question.
    if _is_a(data, "PIL.Image", "Image"):
        from winner_ns.signals.image import image_of_pillow

        return image_of_pillow(data, Path(getattr(data, "filename", "") or "picture"))
    if _is_a(data, "trimesh", "Scene"):
        data = data.to_mesh()
    if _is_a(data, "trimesh", "Trimesh"):
        from winner_ns.signals.shape_file import shape_of_mesh

        return shape_of_mesh(data, Path("mesh"))
    if isinstance(data, tuple) and len(data) == 2 and any(_is_rate(part) for part in data):
        samples, rate = data if _is_rate(data[1]) else data[::-1]
        if kind not in (None, "audio"):
            raise SignalError("(samples, rate)", f"is a sound, not {KINDS[kind].words}", "give the array alone")
        from winner_ns.signals.audio import audio_of_array

        if not 0 < float(rate) < 1e9 or float(rate) != int(rate):
            raise SignalError("(samples, rate)", f"the rate is {rate}", "give hertz, a whole number above 0")
        array = _array(samples)
        if array.ndim == 2 and array.shape[0] <= 8 < array.shape[1]:
            advice = "transpose it: samples first, channels last"
            raise SignalError(ARRAY, f"a sound of shape {array.shape} has its channels first", advice)
        return audio_of_array(array, ARRAY, options, int(rate))
    array = _array(data)
    kind = kind or array_kind(ARRAY, array.shape, array.dtype)
    row = KINDS[kind]
    if row.array_reader is None:
        able = ", ".join(name for name in kinds_of_files() if KINDS[name].array_reader is not None)
        raise SignalError(ARRAY, f"{row.plural} are not read from arrays", f"give a file, or one of {able}")
    return row.get("array_reader")(array, ARRAY, options)


def _array(data: Any) -> np.ndarray:
    """Data as an array of real numbers, in rows."""
    if _is_a(data, "torch", "Tensor"):
        data = data.detach().cpu()
        data = data.float().numpy() if data.dtype in _half_types() else data.numpy()
    if data is None or isinstance(data, (bytes, dict, set, bool, int, float, complex)):
        raise SignalError(type(data).__name__, "is no signal", _ADVICE)
    if isinstance(data, (list, tuple)) and any(isinstance(each, (str, os.PathLike)) for each in data):
        raise SignalError(f"a {type(data).__name__} of {len(data)} paths", "is no single signal", _ADVICE)
    try:
        array = np.asarray(data)
    except Exception as error:  # Any type: lists of unequal length, and whatever an object's __array__ raises.
        raise SignalError(type(data).__name__, f"is no array ({error})", _ADVICE) from error
    if array.dtype == object or array.ndim == 0:
        raise SignalError(type(data).__name__, "is no array of numbers", _ADVICE)
    check_numbers(ARRAY, array)
    return in_rows(array)


def _half_types() -> tuple:
    torch = sys.modules["torch"]
    return torch.bfloat16, torch.float16


def _is_rate(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_a(value: Any, module: str, name: str) -> bool:
    found = sys.modules.get(module)
    return found is not None and isinstance(value, getattr(found, name, ()))
