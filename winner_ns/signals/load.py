"""From a file to a signal: tells the kind and calls its reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Union

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.signals.array import map_array
from winner_ns.signals.audio import read_audio
from winner_ns.signals.grid import GridSignal
from winner_ns.signals.image import read_image
from winner_ns.signals.mesh_file import MESH_SUFFIXES
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.shape import ShapeSignal
from winner_ns.signals.shape_file import TEXT_SUFFIXES, read_shape
from winner_ns.signals.volume import read_video, read_volume

KINDS = ("image", "audio", "shape", "volume", "video")

_READERS = {"image": read_image, "shape": read_shape, "volume": read_volume, "video": read_video}

# First bytes that only one kind of file has.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"II+\0", "image"),
    (b"MM\0+", "image"),
    (b"\x76\x2f\x31\x01", "image"),
    (b"#?RADIANCE", "image"),
    (b"#?RGBE", "image"),
    (b"fLaC", "audio"),
    (b"OggS", "audio"),
    (b"ID3", "audio"),
    (b"RF64", "audio"),
    (b"riff\x2e\x91\xcf\x11", "audio"),
    (b".snd", "audio"),
    (b"caff", "audio"),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"glTF", "shape"),
    (b"ply", "shape"),
    (b"PK\x03\x04", "shape"),
)
# In the container formats RIFF and FORM, the form type after the length.
_FORMS = {b"WAVE": "audio", b"AIFF": "audio", b"AIFC": "audio", b"WEBP": "image", b"AVI ": "video"}
# Formats without a signature, or with one too short to trust alone.
_SUFFIXES = {
    ".bmp": "image",
    ".mp3": "audio",
    **dict.fromkeys((*MESH_SUFFIXES, *TEXT_SUFFIXES), "shape"),
}

_FORMATS = (
    "give an image (PNG, JPEG, TIFF, WebP, BMP, EXR, HDR), a sound (WAV, FLAC, OGG, MP3), a mesh (OBJ, PLY, STL, OFF, "
    "GLB), a video (MP4, MKV, WebM, AVI, MOV, GIF), .npy or .npz, or name the kind"
)


def load_signal(
    path: Union[str, os.PathLike], kind: str = "auto", options: Optional[ReadOptions] = None
) -> Union[GridSignal, ShapeSignal]:
    """Reads a file as the signal that a field is fitted to.

    Args:
        path: the file.
        kind: one of `KINDS`, or "auto" for what `detect_kind` tells.
        options: which part of a sound to read; other kinds are read whole.

    Raises:
        SignalError: the file cannot be read as that kind; one line that says why and what to do.
    """
    path = Path(path)
    if kind not in ("auto", *KINDS):
        raise SignalError("kind", f"{kind!r} is none", f"choose auto, {', '.join(KINDS)}")
    _check_file(path)
    if kind == "auto":
        kind = detect_kind(path)
    if kind == "audio":
        return read_audio(path, options or ReadOptions())
    return _READERS[kind](path)


def detect_kind(path: Union[str, os.PathLike]) -> str:
    """Tells which of `KINDS` a file is, by its first bytes, then by its suffix.

    A GIF is a video if it has several frames. A .npy is told by its shape: [h, w] and [h, w, channels <= 4] are
    images, [d, h, w] and [d, h, w, channels] volumes; [n, 4] and [n, 6] floats with more than 64 rows per column are
    point samples of a shape, as no image is that narrow. Sounds and videos in .npy have to be named.

    Raises:
        SignalError: no readable file, or of no kind that is known.
    """
    path = Path(path)
    head = _check_file(path)
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] in (b"RIFF", b"RIFX", b"FORM") and head[8:12] in _FORMS:
        return _FORMS[head[8:12]]
    if head.startswith(b"GIF8"):
        return _gif_kind(path)
    if head[4:8] in (b"ftyp", b"moov"):
        return "video"
    if head.startswith(b"\x93NUMPY"):
        return _array_kind(path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        named = f"is of no known format, whatever its suffix {suffix} says" if suffix else "is of no known format"
        raise SignalError(path, named, _FORMATS)
    return _SUFFIXES[suffix]


def _check_file(path: Path) -> bytes:
    """The first bytes of a file that can be read and is not empty."""
    try:
        if path.is_dir():
            problem = "is a folder" if any(path.iterdir()) else "is an empty folder"
            raise SignalError(path, problem, "give one file, or a folder with transforms.json or a COLMAP model")
        with open(path, "rb") as file:
            head = file.read(32)
    except FileNotFoundError as error:
        raise SignalError(path, "does not exist", "check the path") from error
    except OSError as error:
        raise SignalError(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from error
    if not head:
        raise SignalError(path, "is empty (0 bytes)", "get a whole copy of the file")
    return head


def _gif_kind(path: Path) -> str:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return "video" if getattr(image, "n_frames", 1) > 1 else "image"
    except Exception:  # Any type; the image reader says what is wrong with it.
        return "image"


def _array_kind(path: Path) -> str:
    array = map_array(path)
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] <= 2 and _is_tall(array)):
        raise SignalError(path, f"an array of shape {array.shape} may be a sound", "name the kind: audio")
    if array.ndim == 2 and array.shape[1] in (4, 6) and array.dtype.kind == "f" and _is_tall(array):
        return "shape"
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] <= 4):
        return "image"
    if array.ndim in (3, 4):
        return "volume"
    raise SignalError(path, f"an array of {array.ndim} axes is no known kind", "give 2 to 4 axes, channels last")


def _is_tall(array: np.ndarray) -> bool:
    return len(array) > 64 * array.shape[1]
