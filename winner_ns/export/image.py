"""Images of any size and bit depth from a fitted image."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from jaxtyping import Shaped

from winner_ns.errors import SignalError
from winner_ns.export.output import fitted_path, require_export
from winner_ns.export.resampling import exported_shape, number_format, original_depth, resampled
from winner_ns.fields.files import LoadedField
from winner_ns.progress import Report, silent
from winner_ns.signals.colour import Colour, png_chunks, profile_space
from winner_ns.signals.photometric import associated_alpha
from winner_ns.writing import check_output, replacing

# OpenCV looks at it when it is imported.
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")

DEPTHS: Dict[str, tuple] = {
    ".png": (8, 16),
    ".tiff": (8, 16, 32),
    ".tif": (8, 16, 32),
    ".jpg": (8,),
    ".jpeg": (8,),
    ".webp": (8,),
    ".bmp": (8,),
    ".exr": (32,),
    ".npy": (8, 16, 32),
}
"""The bit depths that each format holds."""

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_OPAQUE = (".jpg", ".jpeg", ".bmp")
_COLOURED = (".png", ".tiff", ".tif", ".jpg", ".jpeg", ".webp")
"""Formats that say what their colours mean."""
_MANY_CHANNELS = (".tiff", ".tif", ".npy")
"""Formats of more than four channels, which other kinds of pictures than images may have."""


def export_image(
    loaded: LoadedField,
    output: Path,
    scale: float = 1.0,
    bit_depth: Optional[int] = None,
    size: Optional[Sequence[int]] = None,
    report: Report = silent,
) -> Dict[str, Any]:
    """Evaluates a fitted image at any size and writes it; the suffix says the format.

    Pixels are areas, as in image resizing (see `resampled`): at scale 1 they are the original's, at others the same
    picture area is divided into round(height * scale) x round(width * scale) pixels.

    Args:
        loaded: a fitted image.
        output: PNG, TIFF, JPEG, WebP, BMP, EXR or .npy.
        scale: factor of width and height.
        bit_depth: 8, 16 or 32 (float); None is the original's, or the next best that the format holds. How values are
            mapped: `number_format`. A .npy without it has the original's own type and values.
        size: height and width, in place of the scale; needed where they make more than
            `winner_ns.export.resampling.MOST_UNASKED` pixels.
        report: is told how far it is.

    Returns:
        path, height, width, channels, mode, bit_depth, and warnings where the format cannot say what the original's
        colours mean, which PNG, TIFF, JPEG and WebP do.

    Raises:
        SignalError: another kind of run, a format that does not hold what is asked for, or a failure to write.
    """
    require_export(loaded, "image")
    suffix = check_output(output, tuple(DEPTHS), loaded.description.data)
    depth = _depth(loaded, output, suffix, bit_depth)
    channels = loaded.channels
    if suffix in _OPAQUE and channels in (2, 4):
        raise SignalError(output, "this format has no transparency, the image does", "write PNG, TIFF or WebP")
    if channels > 4 and suffix not in _MANY_CHANNELS:
        raise SignalError(output, f"this format does not hold {channels} channels", "write TIFF or .npy")
    height, width = exported_shape(loaded, scale, (0, 1), size)
    numbers = number_format(loaded, None if suffix == ".npy" and bit_depth is None else depth)
    pixels = np.empty((height, width, channels), dtype=numbers.dtype)
    row = 0
    for rows in resampled(loaded, (height, width), report):
        pixels[row : row + len(rows)] = numbers(rows)
        row += len(rows)
    colour = Colour.of(loaded.signal.get("colour", {}))
    with replacing(output, loaded.description.data) as temporary:
        _write(temporary, suffix, pixels, output, colour)
    warnings = _untold(output, suffix, channels, colour)
    return {
        "path": str(output),
        "kind": loaded.kind,
        "height": height,
        "width": width,
        "channels": channels,
        "mode": _MODES.get(channels, f"{channels} channels"),
        "bit_depth": 8 * numbers.dtype.itemsize,
        **({"warnings": warnings} if warnings else {}),
    }


def write_fitted(loaded: LoadedField, folder: Path) -> Path:
    """Writes a fitted image as its kind's own file, PNG or TIFF (`export_fitted`)."""
    path = fitted_path(loaded, default_image_suffix(loaded), folder)
    export_image(loaded, path)
    return path


def default_image_suffix(loaded: LoadedField, bit_depth: Optional[int] = None) -> str:
    """.png, or .tiff where PNG does not hold the bit depth (None: the original's), 32, or so many channels."""
    return ".tiff" if (bit_depth or original_depth(loaded)) == 32 or loaded.channels > 4 else ".png"


def _depth(loaded: LoadedField, output: Path, suffix: str, wanted: Optional[int]) -> int:
    held = DEPTHS[suffix]
    if wanted is not None and wanted in held:
        return wanted
    if wanted is not None:
        able = [name for name, depths in DEPTHS.items() if wanted in depths]
        advice = f"write {', '.join(able)}" if able else "give 8, 16 or 32"
        raise SignalError(output, f"{suffix} holds no {wanted} bits per channel", advice)
    depth = original_depth(loaded)
    return max((d for d in held if d <= depth), default=min(held))


def _profile(suffix: str, channels: int, colour: Colour) -> Optional[bytes]:
    """What is written of colours into a format that has nothing but profiles."""
    if suffix not in _COLOURED[1:]:
        return None
    # WebP has no gray: its pictures are of colours, and so has their profile to be.
    gray = channels < 3 and suffix != ".webp"
    profile = colour.profile(gray)
    return None if profile is None or profile_space(profile) != ("GRAY" if gray else "RGB ") else profile


def _untold(output: Path, suffix: str, channels: int, colour: Colour) -> List[str]:
    """What a user should know of colours that the written file says nothing of."""
    if not colour or suffix in (".npy", ".png"):
        return []
    if _profile(suffix, channels, colour) is not None or (suffix in _COLOURED and colour.is_srgb):
        return []
    return [f"{output}: {suffix} does not say what the original's colours mean; viewers take them for sRGB"]


def _write(path: Path, suffix: str, pixels: Shaped[np.ndarray, "h w c"], output: Path, colour: Colour) -> None:
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    profile = _profile(suffix, pixels.shape[-1], colour)
    if suffix == ".npy":
        np.save(path, squeezed)
    elif suffix in (".tif", ".tiff"):
        _write_tiff(path, squeezed, profile)
    elif suffix == ".exr" or pixels.dtype == np.uint16:
        if suffix == ".png" and pixels.shape[-1] == 2:
            _write_gray_alpha_png(path, pixels)
        else:
            _write_through_opencv(path, suffix, pixels, output)
    else:
        from PIL import Image

        options: Dict[str, Dict[str, Any]] = {".webp": {"lossless": True, "exact": True}}
        options[".jpg"] = options[".jpeg"] = {"quality": 95, "subsampling": 0}
        said: Dict[str, Any] = {} if profile is None else {"icc_profile": profile}
        try:
            Image.fromarray(squeezed).save(path, **options.get(suffix, {}), **said)
        except (ValueError, OSError) as error:
            # The formats' limits: 65,500 pixels along a side for JPEG, 16,383 for WebP.
            raise SignalError(
                output, f"cannot be written ({error})", "write PNG or TIFF, or a smaller image"
            ) from error
    if suffix == ".png" and colour:
        _say_in_png(path, colour)


def _say_in_png(path: Path, colour: Colour) -> None:
    """Puts what colours mean behind a PNG's header, where it has to stand."""
    data = path.read_bytes()
    header = 8 + 25  # The signature, and the header's chunk.
    said = b"".join(_png_chunk(name, content) for name, content in png_chunks(colour))
    path.write_bytes(data[:header] + said + data[header:])


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _write_tiff(path: Path, pixels: np.ndarray, profile: Optional[bytes]) -> None:
    import tifffile

    color = pixels.ndim == 3 and pixels.shape[-1] in (3, 4)
    alpha = pixels.ndim == 3 and pixels.shape[-1] in (2, 4)
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb" if color else "minisblack",
        planarconfig="contig" if pixels.ndim == 3 else None,
        extrasamples=["unassalpha"] if alpha else None,
        iccprofile=profile,
        metadata=None,
    )


def _write_through_opencv(path: Path, suffix: str, pixels: Shaped[np.ndarray, "h w c"], output: Path) -> None:
    import cv2

    if pixels.shape[-1] == 2:  # EXR has no gray with alpha in OpenCV.
        pixels = pixels[..., [0, 0, 0, 1]]
    if suffix == ".exr" and pixels.shape[-1] == 4:
        pixels = associated_alpha(pixels)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[-1]]
    # EXR goes through a temporary file of OpenCV's.
    advice = f"write TIFF or .npy, or see whether {tempfile.gettempdir()} is full" if suffix == ".exr" else "write TIFF"
    try:
        done, encoded = cv2.imencode(suffix, pixels[..., order])
    except cv2.error as error:
        raise SignalError(output, f"OpenCV cannot encode it ({error.err})", advice) from error
    if not done:
        raise SignalError(output, "OpenCV cannot encode it", advice)
    path.write_bytes(encoded.tobytes())


def _write_gray_alpha_png(path: Path, pixels: Shaped[np.ndarray, "h w 2"]) -> None:
    """A 16-bit PNG of color type 4, which neither Pillow nor OpenCV writes (PNG specification, section 5)."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 4 * width), dtype=np.uint8)  # Each row has its filter's number (0, none) in front.
    rows[:, 1:] = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes())),
        (b"IEND", b""),
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, data) for name, data in chunks))
