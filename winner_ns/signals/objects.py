"""From what Python holds - an array, a tensor, a picture, a mesh - to a signal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.kinds import KINDS, kinds_of_files
from winner_ns.signals.array import check_numbers, in_rows
from winner_ns.signals.grid import GridSignal
from winner_ns.signals.load import array_kind, check_kind, load_signal, read_by
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.shape import ShapeSignal

if TYPE_CHECKING:
    import trimesh

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

    >>> import numpy
    >>> from winner_ns.signals import signal_of
    >>> signal_of(numpy.arange(1800, dtype=numpy.uint16).reshape(20, 30, 3)).kind
    'image'

    Args:
        data: a path; an array or tensor, [height, width] or [height, width, channels <= 4] for an image, [samples] or
            [samples, channels] for a sound, [depth, height, width] or [depth, height, width, channels <= 4] for a
            volume, [time, height, width, channels <= 4] for a video, [points, 4] (x y z distance), [points, 6] (x y z
            nx ny nz), [points, 7] (both) or [points, 3] for a shape; a PIL image; (samples, rate in hertz) or (rate,
            samples) for a sound; a trimesh mesh or scene; or a signal. 8- and 16-bit integers have their type's full
            range, floats that of their values.
        kind: a name of `KINDS`; None or "auto": told by the file, or by the array's shape (`array_kind`).
        options: which part of a sound is read, and how.

    Raises:
        SignalError: it is none of these, could be of several kinds, or cannot be fitted.
    """
    kind = None if kind == "auto" else kind
    if kind is not None:
        check_kind(kind)
    signal = _signal_of(data, kind, options or ReadOptions())
    if not isinstance(data, (GridSignal, ShapeSignal)):
        signal.in_memory = not isinstance(data, (str, os.PathLike))
    if kind not in (None, signal.kind):
        raise SignalError(signal.path, f"is {KINDS[signal.kind].words}, not {KINDS[kind].words}", "leave the kind out")
    if options is not None and options.takes_a_part and not KINDS[signal.kind].takes_read_options:
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
        return _shape_of_trimesh(data)
    if _is_pair(data):
        samples, rate = data if _is_rate(data[1]) else data[::-1]
        if kind not in (None, "audio"):
            raise SignalError("(samples, rate)", f"is a sound, not {KINDS[kind].words}", "give the array alone")
        from winner_ns.signals.audio import audio_of_array

        rate = rate.item() if hasattr(rate, "item") else rate
        if not 0 < float(rate) <= 1e9 or float(rate) != int(rate):
            raise SignalError("(samples, rate)", f"the rate is {rate}", "give hertz, a whole number above 0")
        return audio_of_array(_array(samples), ARRAY, options, int(rate))
    array = _array(data)
    kind = kind or array_kind(ARRAY, array.shape, array.dtype)
    row = KINDS[kind]
    if row.array_reader is None:
        able = ", ".join(name for name in kinds_of_files() if KINDS[name].array_reader is not None)
        raise SignalError(ARRAY, f"{row.plural} are not read from arrays", f"give a file, or one of {able}")
    return read_by(row, "array_reader", ARRAY, array, ARRAY, options)


def _shape_of_trimesh(mesh: trimesh.Trimesh) -> ShapeSignal:
    from winner_ns.signals.shape_file import shape_of_mesh
    from winner_ns.signals.surface_colours import colours_of_mesh

    shape = shape_of_mesh(mesh, Path("mesh"))
    shape.colours = colours_of_mesh(mesh, shape.center, shape.scale)
    if shape.colours is not None:
        shape.metadata["coloured"] = True
    return shape


def _array(data: Any) -> np.ndarray:
    """Data as an array of real numbers, in rows."""
    if _is_a(data, "torch", "Tensor"):
        data = _array_of_tensor(data)
    if data is None or isinstance(data, (bytes, dict, set, bool, int, float, complex)):
        raise SignalError(type(data).__name__, "is no signal", _ADVICE)
    if isinstance(data, (list, tuple)) and any(isinstance(each, (str, os.PathLike)) for each in data):
        raise SignalError(f"a {type(data).__name__} of {len(data)} paths", "is no single signal", _ADVICE)
    _check_masks(data)
    try:
        array = np.asarray(data)
    except Exception as error:  # Any type: lists of unequal length, and whatever an object's __array__ raises.
        raise SignalError(type(data).__name__, f"is no array ({error})", _ADVICE) from error
    if array.dtype == object or array.ndim == 0:
        raise SignalError(type(data).__name__, "is no array of numbers", _ADVICE)
    check_numbers(ARRAY, array)
    return in_rows(array)


def _array_of_tensor(tensor: Any) -> np.ndarray:
    """A tensor's numbers as they are, of less than single precision as single."""
    torch = sys.modules["torch"]
    if tensor.is_meta:
        raise SignalError("Tensor", "is on the meta device and has no values", "give one with values")
    try:
        tensor = tensor.detach().cpu()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.layout != torch.strided:
            tensor = tensor.to_dense()
        if tensor.dtype.is_floating_point and tensor.dtype not in (torch.float32, torch.float64):
            tensor = tensor.float()
        return tensor.resolve_conj().resolve_neg().numpy()
    except Exception as error:  # Any type: there are many sorts of tensors, not all of which have numbers to give.
        reason = str(error).partition("\n")[0]
        raise SignalError("Tensor", f"gives no array ({reason})", "give an ordinary tensor") from error


def _check_masks(data: Any) -> None:
    """Raises SignalError where values are masked, which arrays of numbers would show."""
    each = [data] if isinstance(data, np.ndarray) else data if isinstance(data, (list, tuple)) else []
    masked = sum(int(np.ma.count_masked(one)) for one in each if isinstance(one, np.ma.MaskedArray))
    if masked:
        raise SignalError(ARRAY, f"{masked} of its values are masked", "say what they shall be: .filled(value)")


def _is_pair(data: Any) -> bool:
    """Whether something is (samples, rate) or (rate, samples).

    Raises:
        SignalError: it is meant as that, and is not.
    """
    if not isinstance(data, (list, tuple)) or len(data) != 2:
        return False
    rates = [_is_rate(part) for part in data]
    if isinstance(data, tuple) and any(rates):
        return True
    if sum(rates) == 1 and not isinstance(data[rates.index(False)], str):
        raise SignalError("[samples, rate]", "is a list", "give a sound as a tuple, (samples, rate)")
    texts = [isinstance(part, (str, bytes)) for part in data]
    if sum(texts) == 1 and not any(rates) and not isinstance(data[texts.index(False)], os.PathLike):
        text = data[texts.index(True)]
        raise SignalError("(samples, rate)", f"the rate is {text!r}, a text", "give hertz, a whole number above 0")
    return False


def _is_rate(value: Any) -> bool:
    """Whether something is a single real number."""
    if _is_a(value, "torch", "Tensor"):
        real = not value.is_complex() and value.dtype is not sys.modules["torch"].bool
        return value.ndim == 0 and real and not value.is_meta
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "uif"
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_a(value: Any, module: str, name: str) -> bool:
    found = sys.modules.get(module)
    return found is not None and isinstance(value, getattr(found, name, ()))
