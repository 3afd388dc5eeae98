"""From a file to a signal: tells the kind and calls its reader."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal, Optional, Tuple, Union, overload

import numpy as np

from winner_ns.errors import SignalError, setting_error
from winner_ns.kinds import KINDS, Kind, kinds_of_files
from winner_ns.reading import DECODED_LIMIT, check_sort, decoded_limit
from winner_ns.signals.array import map_array
from winner_ns.signals.grid import GridSignal
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.shape import ShapeSignal

Signal = Union[GridSignal, ShapeSignal]

_FORMATS = (
    "give an image (PNG, JPEG, TIFF, WebP, AVIF, HEIC, BMP, EXR, HDR), a sound (WAV, FLAC, OGG, MP3), a mesh (OBJ, "
    "PLY, STL, OFF, GLB), a video (MP4, MKV, WebM, AVI, MOV, GIF), .npy or .npz, or name the kind"
)


@overload
def load_signal(
    path: Union[str, os.PathLike], kind: Literal["shape"], options: Optional[ReadOptions] = None
) -> ShapeSignal: ...


@overload
def load_signal(
    path: Union[str, os.PathLike], kind: str = "auto", options: Optional[ReadOptions] = None
) -> Union[GridSignal, ShapeSignal]: ...


def load_signal(
    path: Union[str, os.PathLike], kind: str = "auto", options: Optional[ReadOptions] = None
) -> Union[GridSignal, ShapeSignal]:
    """Reads a file as the signal that a field is fitted to.

    Args:
        path: the file.
        kind: a kind that is read from a file (`kinds_of_files`), or "auto" for what `detect_kind` tells.
        options: which part of a sound to read, and how much a file may take unpacked.

    Raises:
        SignalError: the file cannot be read as that kind; one line that says why and what to do. It is also what
            becomes of any error in the reader of a kind that another package brings.
    """
    path = Path(path)
    if kind != "auto":
        check_kind(kind)
    options = options or ReadOptions()
    limit = options.decoded_limit
    if not 0 <= limit < math.inf:
        raise setting_error("decoded_limit", f"is {limit} GiB", "give more than 0, or 0 for no limit")
    with decoded_limit(limit):
        _check_file(path)
        row = KINDS[detect_kind(path) if kind == "auto" else kind]
        signal = read_by(row, "reader", path, path, *([options] if row.takes_read_options else []))
    if limit != DECODED_LIMIT:
        # The file has to be read again where the run is gone on with.
        signal.metadata.setdefault("read_options", {"decoded_limit": float(limit)})
    return signal


def read_by(row: Kind, trait: str, path: Path, *arguments: Any) -> Signal:
    """The signal that a row's reader, named by `trait`, makes of its arguments.

    Raises:
        SignalError: it cannot be read, or the reader makes something else of it than the kind's signals.
    """
    signal = _asked(row, trait, path, *arguments)
    made = getattr(signal, "kind", None)
    if made != row.name:
        what = f"of the kind {made}" if made else f"a {type(signal).__name__}, no signal"
        problem = f"the {trait} of the kind {row.name} makes {what}"
        raise SignalError(path, problem, f"let {getattr(row, trait)} make one of the kind {row.name}")
    return signal


def _asked(row: Kind, trait: str, path: Path, *arguments: Any) -> Any:
    """What a function of a row answers; whatever goes wrong in one that is not ours is said in one line."""
    package = KINDS.package_of(row.name)
    try:
        return row.get(trait)(*arguments)
    except SignalError:
        raise
    except Exception as error:  # Any type: it is somebody else's function.
        if not package:
            raise
        problem = f"the {trait} of the kind {row.name} fails ({type(error).__name__}: {error})"
        brought = "this script or notebook" if package == "__main__" else package
        raise SignalError(path, problem, f"correct it in {brought}, which brings the kind") from error


def check_kind(kind: str) -> None:
    """Raises SignalError, of the setting "kind", for a name that is no kind of file."""
    if not isinstance(kind, str) or kind not in KINDS or KINDS[kind].reader is None:
        raise setting_error("kind", f"{kind!r} is none", f"choose auto, {', '.join(kinds_of_files())}")


def detect_kind(path: Union[str, os.PathLike]) -> str:
    """Tells which kind a file is of, by its first bytes, then by its suffix.

    A GIF is a video if it has several frames. A .npy is told by its shape (`array_kind`).

    Raises:
        SignalError: no readable file, or of no kind that is known, or of several; or a kind that another package brings
            fails to say whether it is one.
    """
    path = Path(path)
    head = _check_file(path)
    rows = [KINDS[name] for name in kinds_of_files()]
    for row in rows:
        if row.recognise is not None and _asked(row, "recognise", path, path, head):
            return row.name
    for row in rows:
        if any(head[at : at + len(signature)] == signature for at, signature in row.signatures):
            return row.name
    if head.startswith(b"\x93NUMPY"):
        array = map_array(path)
        return array_kind(path, array.shape, array.dtype)
    suffix = path.suffix.lower()
    for row in rows:
        if suffix in row.suffixes:
            return row.name
    named = f"is of no known format, whatever its suffix {suffix} says" if suffix else "is of no known format"
    raise SignalError(path, named, _FORMATS)


def array_kind(path: Path, shape: Tuple[int, ...], dtype: np.dtype) -> str:
    """Tells which kind an array is of by its shape.

    [n], and [n, 1] or [n, 2] with more than 64 rows per column, are sounds; floats of [n, 4], [n, 6], [n, 7], [n, 9]
    and [n, 10] that are as tall are point samples of a shape, as no image is that narrow; other [h, w] and
    [h, w, channels <= 4] are images, [d, h, w] and [d, h, w, channels <= 4] volumes.

    Refused because they could be of several kinds are: [1, n] and [2, n] with more than 64 columns per row (a sound
    with its channels first, or an image), floats of [n, 3] with more than 64 rows per column (points, or an image),
    [3, h, w] and [4, h, w] (an image with its channels first, or a volume) and 8-bit [n, h, w, 3] (a video, or a
    volume); and of no kind are [1, h, w], more than four channels behind three axes, no axis or more than four.

    Args:
        path: what messages call it.
        shape, dtype: of the array.

    Raises:
        SignalError: it is of no kind, or could be of several.
    """
    axes = len(shape)
    tall = axes == 2 and shape[0] > 64 * shape[1]
    if axes == 1 or (tall and shape[1] <= 2):
        return "audio"
    if axes == 2 and shape[0] <= 2 and shape[1] > 64 * shape[0]:
        rows = f"{shape[0]} row{'s' if shape[0] > 1 else ''}"
        what = f"a sound with its channels first, or an image of {rows}"
        raise _ambiguous(path, shape, what, "image, or put channels last")
    if tall and dtype.kind == "f" and shape[1] == 3:
        raise _ambiguous(path, shape, "points of a shape, or an image", "shape or image")
    if tall and dtype.kind == "f" and shape[1] in (4, 6, 7, 9, 10):
        return "shape"
    if axes == 2 or (axes == 3 and shape[-1] <= 4):
        return "image"
    if axes == 3 and shape[0] == 1:
        raise SignalError(path, f"an array of shape {shape} is an image with its channel first", "put channels last")
    if axes == 3 and shape[0] in (3, 4):
        raise _ambiguous(path, shape, "an image with its channels first, or a volume", "volume, or put channels last")
    if axes == 4 and shape[-1] == 3 and dtype == np.uint8:
        raise _ambiguous(path, shape, "a video, or a volume of colours", "video or volume")
    if axes == 3 or (axes == 4 and shape[-1] <= 4):
        return "volume"
    raise SignalError(path, f"an array of shape {shape} is no known kind", "give 1 to 4 axes, at most 4 channels last")


def _ambiguous(path: Path, shape: Tuple[int, ...], what: str, kinds: str) -> SignalError:
    return SignalError(path, f"an array of shape {shape} may be {what}", f"name the kind: {kinds}")


def _check_file(path: Path) -> bytes:
    """The first bytes of a file that can be read and is not empty."""
    folder, head = "", b""
    check_sort(path)
    try:
        if path.is_dir():
            folder = "is a folder" if any(path.iterdir()) else "is an empty folder"
        else:
            with open(path, "rb") as file:
                head = file.read(32)
    except FileNotFoundError as error:
        raise SignalError(path, "does not exist", "check the path") from error
    except OSError as error:
        raise SignalError(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from error
    except ValueError as error:
        raise SignalError(repr(str(path)), f"is no path ({error})", "check the path") from error
    if folder:
        raise SignalError(path, folder, "give one file, or a folder with transforms.json or a COLMAP model")
    if not head:
        raise SignalError(path, "is empty (0 bytes)", "get a whole copy of the file")
    return head
