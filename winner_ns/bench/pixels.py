"""Pictures of a benchmark: written to a cell's folder, and read and encoded for its report."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Sequence, Tuple

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.writing import replacing

LARGEST = 448
"""Pixels along the longer side of an embedded picture."""


def write_pixels(path: Path, pixels: Float[np.ndarray, "h w *c"]) -> None:
    """Writes pixels in 0 … 1 as a picture of 8 bits."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray((255.0 * np.nan_to_num(pixels)).round().astype(np.uint8)).save(temporary)


def read_pixels(path: Path) -> Float[np.ndarray, "h w c"]:
    """Pixels in 0 … 1: one channel or three."""
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"), dtype=np.float32) / 255.0
    return pixels.reshape(*pixels.shape[:2], -1)


def enlarged(pixels: Float[np.ndarray, "h w c"], smallest: int = 160) -> Shaped[np.ndarray, "h2 w2 *c"]:
    """8-bit pixels, at most LARGEST along the longer side, by averaging; small pictures with pixels as squares."""
    from PIL import Image

    gray = pixels.shape[-1] == 1
    bytes_of = (255 * np.clip(pixels[..., 0] if gray else pixels, 0, 1)).round().astype(np.uint8)
    picture = Image.fromarray(bytes_of)
    squares = max(1, round(smallest / max(picture.size)))
    if squares > 1:
        picture = picture.resize([n * squares for n in picture.size], Image.Resampling.NEAREST)
    if max(picture.size) > LARGEST:
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    return np.asarray(picture)


def encoded(pixels: np.ndarray, lossless: bool = False) -> Tuple[bytes, str]:
    """A PNG or a JPEG, and its media type."""
    from PIL import Image

    file = io.BytesIO()
    if lossless:
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        return file.getvalue(), "image/png"
    Image.fromarray(pixels).save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue(), "image/jpeg"


def end_of_scale(errors: Sequence[np.ndarray], quantile: float) -> float:
    """The end of a colour scale for all: that of the middle one, so that one that is far off hides no others."""
    limits = [float(np.nanquantile(error, quantile)) for error in errors if np.isfinite(error).any()]
    return max(float(np.median(limits)), 1e-3) if limits else 1.0
